"""The files in ``cluster/`` are what their programs take, in the versions that CI tests."""

import copy
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.conftest import CHECKOUT
from tune_sentiment.config import Resources
from tune_sentiment.options import DEFAULTS, build_parser

CLUSTER = CHECKOUT / "cluster"
AWS, RAYJOB = CLUSTER / "ray-up-aws.yaml", CLUSTER / "kuberay-rayjob.yaml"
BIN = Path(sys.executable).parent
TEXT, WHOLE, BOOL = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
POD: dict[str, Any] = {"type": "object"}  # looked at by Kubernetes' own schema


def only(required: str, **fields: Any) -> dict[str, Any]:
    """A schema of an object with these fields and no others."""
    words = required.split()
    return {
        "type": "object",
        "properties": fields,
        "required": words,
        "additionalProperties": False,
    }


GROUP = {"rayStartParams": TEXTS, "template": POD}
WORKERS = only(
    "groupName rayStartParams template",
    groupName=TEXT,
    replicas=WHOLE,
    minReplicas=WHOLE,
    maxReplicas=WHOLE,
    **GROUP,
)
# From the reference of KubeRay 1.7.1's ray.io/v1, https://docs.ray.io/en/master/kuberay/references,
# the fields that a file of ours may use; the resource's own definition is in no package.
RAY_JOB = only(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata={"type": "object"},
    spec=only(
        "entrypoint rayClusterSpec",
        entrypoint=TEXT,
        shutdownAfterJobFinishes=BOOL,
        ttlSecondsAfterFinished=WHOLE,
        backoffLimit=WHOLE,
        activeDeadlineSeconds=WHOLE,
        submitterPodTemplate=POD,
        rayClusterSpec=only(
            "rayVersion headGroupSpec workerGroupSpecs",
            rayVersion=TEXT,
            authOptions=only("mode", mode={"enum": ["token", "disabled"]}),
            headGroupSpec=only("rayStartParams template", **GROUP),
            workerGroupSpecs={"type": "array", "items": WORKERS},
        ),
    ),
)


def documents() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    volume, policy, job = yaml.safe_load_all(RAYJOB.read_text(encoding="utf-8"))
    return volume, policy, job


def pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [job["spec"]["submitterPodTemplate"], *(group["template"] for group in groups)]


def constraints() -> dict[str, str]:
    lines = (CHECKOUT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def test_the_cloud_cluster_is_what_rays_launcher_takes() -> None:
    config = yaml.safe_load(AWS.read_text(encoding="utf-8"))
    validate_config(prepare_config(copy.deepcopy(config)))
    for wrong in ({"max_worker": 4}, {"max_workers": "4"}):
        with pytest.raises(jsonschema.ValidationError):
            validate_config(prepare_config({**copy.deepcopy(config), **wrong}))


def test_the_rayjob_and_its_volume_are_what_kubernetes_takes() -> None:
    volume, policy, job = documents()
    latest = kubernetes_validate.latest_version()
    for document in (volume, policy):
        kubernetes_validate.validate(document, latest, strict=True)
    jsonschema.validate(job, RAY_JOB)
    for template in pods(job):
        pod = {"apiVersion": "v1", "kind": "Pod", **template}
        kubernetes_validate.validate(pod, latest, strict=True)
        pod["spec"]["containers"][0]["imagee"] = "x"
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(pod, latest, strict=True)
    job["spec"]["shutDownAfterJobFinishes"] = True
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, RAY_JOB)


def test_heads_run_no_trial_and_all_nodes_share_results_and_a_token() -> None:
    volume, policy, job = documents()
    cluster = job["spec"]["rayClusterSpec"]
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    _, head, *workers = pods(job)
    assert workers
    for pod in (head, *workers):
        [mount] = pod["spec"]["containers"][0]["volumeMounts"]
        assert mount["mountPath"] == "/results"
        [used] = pod["spec"]["volumes"]
        assert used["persistentVolumeClaim"]["claimName"] == volume["metadata"]["name"]
        labels = pod["metadata"]["labels"].items()
        assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels
    for pod in workers:
        assert "nvidia.com/gpu" in pod["spec"]["containers"][0]["resources"]["limits"]
    aws = yaml.safe_load(AWS.read_text(encoding="utf-8"))
    assert aws["available_node_types"][aws["head_node_type"]]["resources"] == {"CPU": 0}
    assert "--env RAY_AUTH_MODE=token" in aws["docker"]["run_options"]
    assert any(path.endswith("/.ray/auth_token") for path in aws["file_mounts"])


def test_what_the_rayjob_runs_is_a_command_of_ours() -> None:
    words = shlex.split(documents()[2]["spec"]["entrypoint"])
    assert words[:3] == ["python", "-m", "run_search"]
    args = build_parser().parse_args(words[3:])
    asked = {name: getattr(args, name) for name in Resources.__dataclass_fields__}
    assert Resources(**asked).is_cluster
    assert Path(args.results).is_absolute()
    assert args.precision != DEFAULTS["precision"]  # the head has no GPU to ask


@pytest.mark.parametrize("path", sorted(CLUSTER.iterdir()), ids=lambda path: path.name)
def test_nothing_listens_on_every_network(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text
    assert not re.search(r"0\.0\.0\.0|dashboard-host|::0|hostNetwork|LoadBalancer|NodePort", text)


def test_versions_stand_in_one_place() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = constraints()
    assert documents()[2]["spec"]["rayClusterSpec"]["rayVersion"] == found["ray"]
    image = (CLUSTER / "Dockerfile").read_text(encoding="utf-8")
    [python] = re.findall(r"^FROM python:(\d+\.\d+)-", image, re.MULTILINE)
    assert project["requires-python"] == f">={python}"
    assert "--constraint constraints.txt" in image
    assert "'.[cluster,storage]'" in image  # results may be in an object store
    assert {"cluster", "storage"} <= set(project["optional-dependencies"])
    text = "".join(path.read_text(encoding="utf-8") for path in CLUSTER.iterdir())
    page = (CHECKOUT / "docs" / "cluster.md").read_text(encoding="utf-8")
    [operator] = re.findall(r"kuberay-operator --version (\S+)", page)
    assert set(re.findall(r"\d+\.\d+\.\d+(?!\.\d)", text)) == {found["ray"], operator}


@pytest.mark.parametrize(
    ("program", "name"), [("shellcheck", "slurm.sbatch"), ("hadolint", "Dockerfile")]
)
def test_scripts_pass_their_linters(program: str, name: str, tmp_path: Path) -> None:
    done = subprocess.run([BIN / program, CLUSTER / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    broken = tmp_path / name
    text = (CLUSTER / name).read_text(encoding="utf-8")
    broken.write_text(text.replace('"$@"', "$@").replace("--no-cache-dir ", ""), encoding="utf-8")
    assert broken.read_text() != text
    assert subprocess.run([BIN / program, broken], capture_output=True).returncode == 1


def test_the_image_holds_all_that_is_installed_and_nothing_else() -> None:
    image = (CLUSTER / "Dockerfile").read_text(encoding="utf-8")
    copied = [w for line in re.findall(r"^COPY (.*)$", image, re.MULTILINE) for w in line.split()]
    copied = [word for word in dict.fromkeys(copied) if word != "./"]
    ignored = (CLUSTER / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert ignored[0] == "*"
    assert sorted(word[1:] for word in ignored if word.startswith("!")) == sorted(copied)
    assert all((CHECKOUT / name).exists() for name in copied)


# Slurm's programs and ours, as far as the script looks at them.
PROGRAMS = {
    "srun": "exit 0",
    "ray": "exit 0",
    "getent": "echo '127.0.0.1 STREAM first'",
    "scontrol": 'if [ "$1" = show ]; then echo first; else echo "$@" >> said; fi',
    "python": """case "$1" in -c) echo token; exit;; esac
trap 'echo ended >> said; exit 143' TERM
echo "$@" >> said
while true; do sleep 0.1; done""",
}


@pytest.mark.parametrize(
    ("number", "is_queued_again"), [(signal.SIGUSR1, True), (signal.SIGTERM, False)]
)
def test_a_job_whose_time_is_up_queues_again_and_one_that_is_cancelled_does_not(
    number: signal.Signals, is_queued_again: bool, tmp_path: Path
) -> None:
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    said = tmp_path / "said"
    slurm = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "first", "SLURM_CPUS_PER_TASK": "2"}
    job = subprocess.Popen(
        ["bash", CLUSTER / "slurm.sbatch", "--method", "svm"],
        cwd=tmp_path,
        env={**os.environ, **slurm, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    deadline = time.monotonic() + 30
    while not said.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "-m run_search --address=127.0.0.1:20007 --method svm" in said.read_text()
    job.send_signal(number)
    assert job.wait(timeout=30) == (0 if is_queued_again else 143)
    after = said.read_text().splitlines()[1:]
    assert after == ["ended", *(["requeue 7"] if is_queued_again else [])]
