"""What is said as a search begins; what Ray would run is noted, and its answers are given."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from run_search import plan
from tests.conftest import repeat
from tune_sentiment.config import Resources
from tune_sentiment.cost import Calibration
from tune_sentiment.failures import Failures
from tune_sentiment.footprint import Card, Footprint
from tune_sentiment.forecast import Forecast
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.options import build_parser
from tune_sentiment.outlook import announce
from tune_sentiment.preflight import checkpoint_bytes
from tune_sentiment.sharing import Sharing
from tune_sentiment.slots import CONTEXT_BYTES
from tune_sentiment.study import Study
from tune_sentiment.tokens import Tokens

GB = 10**9
MEASURED = Calibration(train=0.001, evaluate=0.0005)
GPU_NODE = {"Alive": True, "Resources": {"CPU": 64.0, "GPU": 2.0, "memory": 4e11}}
CPU_NODE = {"Alive": True, "Resources": {"CPU": 24.0, "memory": 4e11}}
HEAD = {"Alive": True, "Resources": {"memory": 4e11}}


class Asked:
    """What stands for Ray: notes what a calibration is to get, and answers with MEASURED."""

    def __init__(self) -> None:
        self.options: list[dict[str, Any]] = []
        self.threads: list[int] = []

    def remote(self, **options: Any) -> Callable[..., Any]:
        self.options.append(options)

        def note(setup: Any, *others: Any) -> None:
            self.threads.append(setup.num_threads)

        return lambda function: SimpleNamespace(remote=note)


@pytest.fixture
def announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eight: Tokens
) -> Callable[..., tuple[dict[str, Forecast], Asked, list[Study]]]:
    monkeypatch.setenv("TUNE_SENTIMENT_CACHE", str(tmp_path / "cache"))

    def made(
        resources: Resources, *nodes: dict[str, Any], datasets: str = "demo"
    ) -> tuple[dict[str, Forecast], Asked, list[Study]]:
        words = ["--method", "lora,adapters", "--dataset", datasets, "--model", "tiny"]
        words += ["--precision", "fp32", "--results", str(tmp_path / "results")]
        studies, _, results = plan(build_parser().parse_args([*words, "--trials", "100"]))
        device = "cuda" if "GPU" in nodes[0]["Resources"] else "cpu"
        studies = [replace(s, source=replace(s.source, device=device)) for s in studies]
        asked = Asked()
        monkeypatch.setattr(ray, "nodes", lambda: list(nodes))
        monkeypatch.setattr(ray, "remote", asked.remote)
        monkeypatch.setattr(ray, "get", lambda reference: MEASURED)
        cards = [Card("card", 80 * GB, 80 * GB - CONTEXT_BYTES)]
        longer = repeat(eight, 40)  # of which more fill a batch

        def tokens(study: Study) -> tuple[Tokens, Tokens]:
            return (eight, eight) if study.source.dataset.name == "demo" else (longer, longer)

        def probe(study: Study, *_: Any) -> Footprint:
            reserved = 8 * GB if study.source.dataset.name == "demo" else 20 * GB
            return Footprint(reserved, CONTEXT_BYTES, 80 * GB)

        sharing = Sharing(resources, tokens, lambda: cards, probe)
        train = SimpleNamespace(tokens=eight)
        inputs: Any = {study.comparison: SimpleNamespace(train=train) for study in studies}
        work = [(study, StudyFolder(results / study.id)) for study in studies]
        failures = Failures(lambda line: None)
        return announce(work, inputs, resources, sharing, failures, 2.0), asked, studies

    return made


def test_each_study_is_calibrated_with_a_gpu_to_itself(announced: Callable[..., Any]) -> None:
    forecasts, asked, studies = announced(Resources(), GPU_NODE)
    assert [options["num_gpus"] for options in asked.options] == [1.0, 1.0]
    assert asked.threads == [4, 4]  # as many as a training has beside seven others
    each = 800 * MEASURED.train + 200 * MEASURED.evaluate
    for found in (forecasts[study.id] for study in studies[1:]):
        assert found.devices == 1 / 8
        assert found.device_seconds == pytest.approx(found.expected_evaluations * each)


def test_what_is_forecast_on_a_cluster_is_the_clusters(
    announced: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    forecasts, _, studies = announced(Resources(address="auto"), CPU_NODE, CPU_NODE, HEAD)
    said = capsys.readouterr().err
    assert "on this cluster (48 CPU) if no trial is stopped early" in said
    assert "of this cluster's 48 cores" in said
    assert "this machine" not in said
    lora = studies[1]
    assert forecasts[lora.id].checkpoint_bytes == checkpoint_bytes(lora, 48)


def test_each_comparison_shares_gpus_as_its_own_texts_let_it(
    announced: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{i % 2}\t{('warm', 'cold')[i % 2]} cafe number {i}" for i in range(90)]
    (tmp_path / "cafes.tsv").write_text("\n".join(["label\ttext", *rows]) + "\n")
    datasets = f"demo,{tmp_path / 'cafes.tsv'}"
    forecasts, _, studies = announced(Resources(), GPU_NODE, datasets=datasets)
    said = capsys.readouterr().err.splitlines()
    neural = [study for study in studies if study.device == "cuda"]
    assert len(neural) == 4
    for study in neural:
        share, taken = (8, "8.3") if study.source.dataset.name == "demo" else (3, "20.3")
        assert forecasts[study.id].devices == 1 / share
        assert f"{study.id}: {taken} GB of 80 GB at batch 32: {share} trials a GPU" in said
