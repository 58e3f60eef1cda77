"""What a cluster's nodes are brought and asked; ``faults/test_machines.py`` has a cluster."""

import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import run_search
from tune_sentiment import dry_run, nodes, options, provenance
from tune_sentiment.backbone import Backbone, folder_fingerprint, model_files
from tune_sentiment.config import Resources
from tune_sentiment.delivery import holds, unpack
from tune_sentiment.environment import ENVIRONMENT
from tune_sentiment.errors import StartError, UsageError
from tune_sentiment.slots import Machine, plan_slots
from tune_sentiment.uri import SECONDS_VARIABLE

SEEN = {
    "host": "b",
    "versions": provenance.versions(),
    "code": nodes.code_fingerprint(),
    "place": "/code",
}


@pytest.mark.parametrize("address", ["local", "auto", "10.0.0.1:6379", "head.lan:6379", "[::1]:1"])
def test_addresses_that_ray_can_join(address: str) -> None:
    assert Resources(address=address).is_cluster == (address != "local")


@pytest.mark.parametrize(
    "address", ["", "head", "ray://head:10001", "http://head:8265", "head:ray", "a b:1", "head:1:2"]
)
def test_other_addresses_are_refused_before_anything_starts(address: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        Resources(address=address)


def test_a_cluster_that_does_not_answer_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        nodes.check_reached(address)
    began = time.monotonic()
    with pytest.raises(StartError, match=f"no Ray cluster answers at '{address}'"):
        nodes.check_reached(address)
    assert time.monotonic() - began < 2 * nodes.REACHED_SECONDS
    nodes.check_reached("auto")  # for Ray to find
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(StartError, match="no Ray cluster answers"):
        nodes.check_reached("auto")


def test_workers_are_brought_code_and_switches_and_no_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "f" * 64)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    switches = {"HF_HUB_OFFLINE": "1", SECONDS_VARIABLE: "120"}
    for name, value in switches.items():
        monkeypatch.setenv(name, value)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    brought = nodes.runtime_env()
    [package] = brought["py_modules"]
    assert Path(package) == Path(nodes.__file__).parent
    assert brought["env_vars"] == {**ENVIRONMENT, **switches}
    size = sum(path.stat().st_size for path in Path(package).rglob("*.*") if path.suffix != ".pyc")
    assert size < 2e6


def test_a_node_that_shares_the_folder_and_the_packages_is_fine(tmp_path: Path) -> None:
    (tmp_path / "asked").write_text("content")
    found = nodes.look_around(tmp_path, None, "content", "n1")
    assert {path.name for path in tmp_path.iterdir()} == {"asked", "n1"}
    assert nodes.trouble_with("node b", found, tmp_path, has_answered=True) is None


@pytest.mark.parametrize("there", ["nothing", "another", "no way to write"])
def test_a_node_with_another_results_folder_is_named(there: str, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    if there != "nothing":
        marks.mkdir()
        (marks / "asked").write_text("another" if there == "another" else "content")
    if there == "no way to write":
        (marks / "n1").mkdir()
    found = nodes.look_around(marks, None, "content", "n1")
    trouble = nodes.trouble_with("node b", found, tmp_path, has_answered=True)
    assert trouble is not None
    assert trouble.startswith(f"node b does not share the results folder {tmp_path}: ")
    assert "--results" in trouble


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"versions": SEEN["versions"].replace("torch=", "torch=0.")}, "has torch=0."),
        ({"code": "0"}, "has other code of ours in /code"),
        ({"trouble": "No such file or directory"}, "No such file or directory"),
    ],
)
def test_a_node_that_differs_is_told_apart(changes: dict[str, str], words: str) -> None:
    found = {**SEEN, **changes}
    assert words in str(nodes.trouble_with("node b", found, Path("/r"), has_answered=True))


def test_a_package_that_a_node_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert provenance.version_of("no-such-package") == "no-such-package=none"
    monkeypatch.setattr(provenance, "PACKAGES", ("no-such-package",))
    found = {**SEEN, "versions": provenance.versions.__wrapped__()}
    trouble = nodes.trouble_with("node b", found, Path("/r"), has_answered=True)
    assert str(trouble).startswith("node b has no-such-package=none, this machine python=")


def test_what_a_node_writes_must_be_seen_here() -> None:
    trouble = nodes.trouble_with("node b", SEEN, Path("/r"), has_answered=False)
    assert "what it writes there is not seen here" in str(trouble)


def contents(backbone: Backbone) -> dict[str, Any]:
    return {path.name: np.fromfile(path, np.uint8) for path in model_files(backbone.place)}


def test_weights_that_were_brought_are_the_very_same(tiny: Backbone, tmp_path: Path) -> None:
    unpack(tmp_path / "model", contents(tiny))
    assert holds(tmp_path / "model", tiny.fingerprint)
    brought = Backbone("tiny", Path("/not/here"), tiny.fingerprint, lambda: tmp_path / "model")
    torch.manual_seed(0)
    first = tiny.classifier(["a", "b"]).state_dict()
    torch.manual_seed(0)
    second = brought.classifier(["a", "b"]).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert brought.weights_bytes == tiny.weights_bytes


@pytest.mark.parametrize("harm", ["missing", "torn", "more"])
def test_a_copy_that_is_not_whole_is_not_taken_and_made_again(
    harm: str, tiny: Backbone, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    unpack(folder, contents(tiny))
    weights = folder / "model.safetensors"
    if harm == "missing":
        weights.unlink()
    elif harm == "torn":
        weights.write_bytes(weights.read_bytes()[:-1])
    else:
        (folder / "other.json").write_text("{}")
    assert not holds(folder, tiny.fingerprint)
    unpack(folder, contents(tiny))
    assert folder_fingerprint(folder) == tiny.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert not holds(tmp_path / "nowhere", "0")


CLUSTER = ["--method", "full", "--dataset", "demo", "--model", "tiny", "--address", "auto"]
CLUSTER += ["--gpus-per-trial", "1"]


def test_a_head_without_a_gpu_searches_on_those_of_its_nodes(tmp_path: Path) -> None:
    words = [*CLUSTER, "--precision", "bf16", "--results", str(tmp_path)]
    studies, resources, _ = run_search.plan(options.build_parser().parse_args(words))
    assert {study.device for study in studies if study.method.is_neural} == {"cuda"}
    assert resources.is_cluster
    if not torch.cuda.is_available():
        assert "no GPU to measure with" in dry_run.describe(studies, resources, tmp_path)


def test_auto_means_the_gpus_of_the_nodes_where_a_person_says_so(tmp_path: Path) -> None:
    words = [*CLUSTER[:-2], "--precision", "bf16", "--results", str(tmp_path)]
    devices = {}
    for more in ([], ["--gpus-per-trial", "auto"]):
        studies, resources, _ = run_search.plan(options.build_parser().parse_args([*words, *more]))
        assert resources == Resources(address="auto")  # measured, and as many as have room
        devices[tuple(more)] = {study.device for study in studies if study.config.method == "full"}
        if more and not torch.cuda.is_available():
            assert "no GPU to measure with" in dry_run.describe(studies, resources, tmp_path)
    here = "cuda" if torch.cuda.is_available() else "cpu"
    assert devices == {(): {here}, ("--gpus-per-trial", "auto"): {"cuda"}}


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine can be asked")
def test_it_does_not_guess_what_they_can_do(tmp_path: Path) -> None:
    words = [*CLUSTER, "--results", str(tmp_path)]
    with pytest.raises(UsageError, match="--precision bf16"):
        run_search.plan(options.build_parser().parse_args(words))


def test_a_gpu_that_only_the_head_has_is_not_waited_for() -> None:
    there = Machine(cores=8, cards=0, memory=1e11, nodes=2)
    with pytest.raises(StartError, match="1 GPUs needed for a trial, 0 on a node"):
        plan_slots(Resources(address="auto"), there, "cuda", 4)
