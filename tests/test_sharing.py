"""GPUs that are not there: how a study's trainings would share them, by a probe that is given."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import RayError
from ray.util.placement_group import placement_group, remove_placement_group

from run_search import plan
from tune_sentiment.config import Resources
from tune_sentiment.course import Course
from tune_sentiment.data import load_train_val
from tune_sentiment.footprint import Card, Footprint
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.machines import machine
from tune_sentiment.options import build_parser
from tune_sentiment.session import SharedInputs
from tune_sentiment.sharing import Sharing, cards_of_ray, heaviest
from tune_sentiment.slots import CONTEXT_BYTES, Slots, plan_slots
from tune_sentiment.study import Study
from tune_sentiment.supervisor import Supervisor
from tune_sentiment.tokens import Tokens
from tune_sentiment.workload import Inputs, slots_for, trial_setup

GB = 10**9
CARDS = [Card("card", 80 * GB, 80 * GB - CONTEXT_BYTES)]
AUTO = Resources()
Take = Callable[..., int]


class Probe:
    """What stands for a GPU: says what each method takes, and notes what it was asked."""

    def __init__(self, **reserved: int) -> None:
        self.reserved = reserved
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, study: Study, setup: Any, params: Mapping[str, Any]) -> Footprint:
        self.asked.append((setup.method, dict(params)))
        return Footprint(self.reserved[setup.method], CONTEXT_BYTES, 80 * GB)


@pytest.fixture
def studies_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Study]]:
    """Studies on a machine with GPUs, by their methods."""
    monkeypatch.setenv("TUNE_SENTIMENT_CACHE", str(tmp_path / "cache"))

    def made(method: str, *words: str, cores: int = 64, gpus: float = 1) -> dict[str, Study]:
        node = {"Alive": True, "Resources": {"CPU": float(cores), "GPU": gpus, "memory": 4e11}}
        monkeypatch.setattr(ray, "nodes", lambda: [node])
        asked = ["--method", method, "--dataset", "demo", "--model", "tiny", *words]
        asked += ["--precision", "bf16", "--results", str(tmp_path / "results")]
        studies, _, _ = plan(build_parser().parse_args(asked))
        return {
            s.config.method: replace(s, source=replace(s.source, device="cuda")) for s in studies
        }

    return made


def sharing_of(
    eight: Tokens, probe: Any, resources: Resources = AUTO, cards: Any = CARDS
) -> Sharing:
    return Sharing(resources, lambda study: (eight, eight), lambda: cards, probe)


def slots_of(study: Study, sharing: Sharing, trainings: int = 100) -> Slots:
    return slots_for(study, sharing.resources, trainings, sharing.of(study))


def test_each_method_gets_the_share_that_it_needs(
    studies_of: Callable[..., dict[str, Study]], eight: Tokens
) -> None:
    studies = studies_of("full,lora,freeze", "--trials", "100")
    probe = Probe(full=20 * GB, lora=8 * GB)
    sharing = sharing_of(eight, probe)
    assert slots_of(studies["full"], sharing) == Slots(3, 21, 1 / 3)
    assert slots_of(studies["lora"], sharing) == Slots(8, 8, 1 / 8)
    assert slots_of(studies["svm"], sharing).gpus == slots_of(studies["freeze"], sharing).gpus == 0
    assert [method for method, _ in probe.asked] == ["full", "lora"]
    assert slots_of(studies["freeze"], sharing, trainings=1) == Slots(1, 1, 0.0)
    asked = sharing_of(eight, probe, Resources(cpus_per_trial=2))
    assert slots_of(studies["freeze"], asked, trainings=1) == Slots(1, 2, 0.0)
    line = sharing.line(studies["lora"], slots_of(studies["lora"], sharing))
    assert line == "8.3 GB of 80 GB at batch 32: 8 trials a GPU"
    assert sharing.line(studies["svm"], slots_of(studies["svm"], sharing)) is None


def test_what_was_measured_is_never_measured_again(
    studies_of: Callable[..., dict[str, Study]], eight: Tokens
) -> None:
    study = studies_of("lora", "--trials", "100")["lora"]
    first = slots_of(study, sharing_of(eight, Probe(lora=8 * GB)))
    again = Probe()
    sharing = sharing_of(eight, again)
    assert slots_of(study, sharing) == slots_of(study, sharing) == first
    assert again.asked == []
    another_rate = studies_of("lora", "--trials", "100", "--fix", "lr=1e-4")["lora"]
    assert slots_of(another_rate, sharing_of(eight, again)) == first


def test_before_a_search_nothing_is_measured_but_what_was_is_known(
    studies_of: Callable[..., dict[str, Study]], eight: Tokens
) -> None:
    study = studies_of("lora", "--trials", "100")["lora"]
    looking = sharing_of(eight, lambda *_: None)
    slots = slots_of(study, looking)
    assert slots == Slots(1, 64, 1.0)
    line = "its memory is measured when the search starts: 1 trial a GPU"
    assert looking.line(study, slots) == line
    sharing_of(eight, Probe(lora=8 * GB)).of(study)
    assert slots_of(study, sharing_of(eight, lambda *_: None)).gpus == 1 / 8


def test_cores_and_concurrency_bound_how_many_share_a_gpu(
    studies_of: Callable[..., dict[str, Study]], eight: Tokens
) -> None:
    study = studies_of("lora", "--trials", "100", cores=12, gpus=4)["lora"]
    probe = Probe(lora=8 * GB)
    sharing = sharing_of(eight, probe)
    slots = slots_of(study, sharing)
    assert slots == Slots(12, 1, 1 / 3)
    assert sharing.line(study, slots) == (
        "8.3 GB of 80 GB at batch 32: 3 trials a GPU (room for 8)"
    )
    two_cores = sharing_of(eight, probe, Resources(cpus_per_trial=2))
    assert slots_of(study, two_cores) == Slots(4, 2, 1.0)
    six = sharing_of(eight, probe, Resources(concurrency=6))
    assert slots_of(study, six) == Slots(6, 2, 1 / 2)


def test_few_trainings_are_spread_over_all_gpus(
    studies_of: Callable[..., dict[str, Study]], eight: Tokens
) -> None:
    study = studies_of("lora", "--trials", "100", gpus=4)["lora"]
    sharing = sharing_of(eight, Probe(lora=8 * GB))
    assert slots_of(study, sharing, trainings=4) == Slots(4, 16, 1.0)
    assert slots_of(study, sharing, trainings=7) == Slots(7, 9, 1 / 2)


@pytest.mark.parametrize(
    ("asked", "expected"), [(0.25, Slots(4, 16, 0.25)), (1.0, Slots(1, 64, 1.0))]
)
def test_a_share_that_was_asked_for_is_taken_as_it_is(
    asked: float, expected: Slots, studies_of: Callable[..., dict[str, Study]], eight: Tokens
) -> None:
    study = studies_of("lora", "--trials", "100")["lora"]
    probe = Probe()
    sharing = sharing_of(eight, probe, Resources(gpus_per_trial=asked))
    assert slots_of(study, sharing) == expected
    assert probe.asked == []
    assert sharing.line(study, expected) is None


def test_what_cannot_be_measured_gets_a_gpu_of_its_own(
    studies_of: Callable[..., dict[str, Study]], eight: Tokens
) -> None:
    study = studies_of("lora", "--trials", "100")["lora"]

    def broken(*_: Any) -> Footprint:
        raise RayError("the worker died\nwith a last word")

    for probe, cards, why in (
        (broken, CARDS, "its memory was not measured: with a last word"),
        (Probe(), [], "no worker sees a GPU"),
        (Probe(lora=80 * GB), CARDS, "more than 80 GB at batch 32"),
        (Probe(lora=60 * GB), CARDS, "60.3 GB of 80 GB at batch 32"),
    ):
        sharing = sharing_of(eight, probe, cards=cards)
        slots = slots_of(study, sharing)
        assert slots == Slots(1, 64, 1.0)
        assert sharing.line(study, slots) == f"{why}: 1 trial a GPU"


def test_a_heads_gpus_are_not_looked_at_where_it_takes_no_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    class Look:
        def options(self, scheduling_strategy: Any) -> "Look":
            asked.append(scheduling_strategy.node_id)
            return self

        def remote(self) -> list[Card]:
            return CARDS

    head, worker, other = (letter * 56 for letter in "abc")
    held = {head: {"GPU": 2.0}, worker: {"CPU": 8.0, "GPU": 1.0}, other: {"CPU": 8.0}}
    nodes = [{"Alive": True, "Resources": has, "NodeID": name} for name, has in held.items()]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    monkeypatch.setattr(ray, "remote", lambda **options: lambda function: Look())
    monkeypatch.setattr(ray, "get", lambda references: references)
    assert cards_of_ray() == CARDS
    assert asked == [worker]


def test_a_card_that_others_filled_is_measured_again_another_time(
    studies_of: Callable[..., dict[str, Study]], eight: Tokens
) -> None:
    study = studies_of("lora", "--trials", "100")["lora"]
    assert sharing_of(eight, Probe(lora=80 * GB)).of(study) == 1
    assert sharing_of(eight, Probe(lora=8 * GB)).of(study) == 8


@pytest.mark.parametrize(
    ("method", "words", "expected"),
    [
        ("lora", [], {"batch_size": 32, "rank": 32, "targets": "all", "dropout": 0.2}),
        ("lora", ["--fix", "rank=4", "--fix", "targets=qv"], {"rank": 4, "targets": "qv"}),
        ("lora", ["--fix", "batch_size=8"], {"batch_size": 8, "targets": "all"}),
        ("adapters", [], {"batch_size": 32, "bottleneck": 256, "placement": "attention_ffn"}),
        ("full", [], {"batch_size": 32}),
    ],
)
def test_what_is_measured_is_what_needs_most(
    method: str,
    words: list[str],
    expected: dict[str, Any],
    studies_of: Callable[..., dict[str, Study]],
) -> None:
    study = studies_of(method, *words)[method]
    found = heaviest(study)
    assert {name: found[name] for name in expected} == expected
    study.own_hyperparameters(found)  # a configuration that can be trained


def test_a_study_is_the_same_study_however_its_trainings_share(
    studies_of: Callable[..., dict[str, Study]], eight: Tokens
) -> None:
    study = studies_of("lora", "--trials", "100")["lora"]
    before = study.id
    sharing_of(eight, Probe(lora=8 * GB)).of(study)
    shared = studies_of("lora", "--trials", "100", "--gpus-per-trial", "0.25")["lora"]
    assert before == study.id == shared.id


def test_the_share_reaches_the_stages_and_what_each_training_is_told(
    studies_of: Callable[..., dict[str, Study]], tmp_path: Path
) -> None:
    study = studies_of("lora", "--trials", "100")["lora"]
    folder = StudyFolder(tmp_path / study.id)
    course = Course(study, folder, AUTO, Supervisor(lambda line: None), per_gpu=8)
    stage = course.next_stage()
    assert stage is not None
    assert stage.slots == Slots(8, 8, 1 / 8)
    assert trial_setup(study, stage.slots, folder).gpus == 1 / 8


@pytest.fixture(scope="module")
def two_gpus() -> Iterator[None]:
    """Ray on a machine that it takes to have two GPUs and much memory; torch sees none."""
    there = {"num_cpus": 64, "num_gpus": 2, "_memory": 400 * GB}
    ray.init(address="local", include_dashboard=False, **there)
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("two_gpus")
def test_ray_has_room_for_as_many_shares_as_were_planned() -> None:
    there = machine("cuda")
    for count in (3, 7, 13):  # in Ray's steps of a ten-thousandth no whole number is one GPU
        slots = plan_slots(AUTO, there, "cuda", 100, per_gpu=count)
        assert slots.concurrency == 2 * count
        bundle = {"CPU": float(slots.cpus), "GPU": slots.gpus}  # as Ray Tune reserves a trial
        places = [placement_group([bundle]) for _ in range(slots.concurrency)]
        ready = [place.ready() for place in places]
        assert ray.wait(ready, num_returns=len(ready), timeout=60)[1] == []
        for place in places:
            remove_placement_group(place)


@pytest.mark.slow
@pytest.mark.usefixtures("two_gpus")
def test_what_ray_calls_a_gpu_and_torch_does_not_is_said(
    studies_of: Callable[..., dict[str, Study]], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = studies_of("lora", "--trials", "100", gpus=2)["lora"]
    monkeypatch.undo()  # the nodes are Ray's own again
    splits = load_train_val(study.source.dataset, mirror=None, train_samples=None, seed=42)
    inputs = Inputs(*(SharedInputs(study.source.backbone, s, 32, "cuda", AUTO) for s in splits))
    sharing = Sharing.on_ray(AUTO, lambda study: inputs)
    assert sharing.of(study) == 1
    assert sharing.found[study.id] == (1, "no worker sees a GPU")
    asked = Sharing(AUTO, sharing.tokens, lambda: CARDS, sharing.probe)
    assert asked.of(study) == 1
    assert asked.found[study.id][1].startswith("its memory was not measured: ")
    assert "CUDA" in asked.found[study.id][1]
