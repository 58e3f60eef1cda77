"""What trackers left on the disk, read with their own libraries."""

import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def wandb_records(file: Path) -> Iterator[Any]:
    """The records of a run's log: LevelDB's format, behind a header of seven bytes."""
    from wandb.proto import wandb_internal_pb2

    data, position, parts = file.read_bytes(), 7, b""
    while position < len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # the whole of a record, or its last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


def items(updates: Any) -> dict[str, Any]:
    return {each.key or each.nested_key[0]: json.loads(each.value_json) for each in updates}


def wandb_runs(results: Path, run_id: str) -> list[list[Any]]:
    files = sorted((results / "tracking" / "wandb").glob(f"offline-run-*-{run_id}/*.wandb"))
    return [list(wandb_records(file)) for file in files]


def comet_archives(results: Path, key: str) -> list[tuple[dict[str, Any], list[Any], list[bytes]]]:
    made = []
    for path in (results / "tracking" / "comet").glob(f"{key}*.zip"):
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read("experiment.json"))
            lines = archive.read("messages.json").decode().splitlines()
            others = [n for n in archive.namelist() if not n.endswith(".json")]
            made.append((about, [json.loads(x) for x in lines], [archive.read(n) for n in others]))
    return sorted(made, key=lambda each: each[0]["start_time"])


def mlflow_runs(client: Any) -> dict[str, Any]:
    experiment = client.get_experiment_by_name("films")
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def events(results: Path, run: str) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made = EventAccumulator(
        str(results / "tracking" / "tensorboard" / "lora" / run),
        size_guidance={"scalars": 0, "tensors": 0},
    )
    return made.Reload()
