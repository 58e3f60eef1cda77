"""MLflow: a run for each training below one for its study; a SQLite store unless told otherwise."""

import logging
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tune_sentiment.tracking.view import RECORD, StudyView, TrainingView

STORE_VARIABLE = "MLFLOW_TRACKING_URI"
OURS = "tune_sentiment.id"  # tag by which a run is found again
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true"}


class MlflowTracker:
    """Logs to ``MLFLOW_TRACKING_URI``, or to a SQLite file.

    The store is asked which runs it has, and takes a metric of one step and time once, so nothing
    is logged twice even where the ledger's notes are behind.

    Args:
        folder: Gets ``mlflow.db`` and ``mlflow-artifacts/``.
        project: The experiment's name.
    """

    is_live = True

    def __init__(self, folder: Path, project: str) -> None:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        store, artifacts = os.environ.get(STORE_VARIABLE), None
        if not store:
            folder.mkdir(parents=True, exist_ok=True)
            store = f"sqlite:///{folder / 'mlflow.db'}"
            artifacts = (folder / "mlflow-artifacts").as_uri()
        self.client = MlflowClient(store)
        self.where = f"{store} {project}"
        self.experiment = self._experiment(project, artifacts)

    def log(self, training: TrainingView, known: int) -> None:
        """Log what is new."""
        from mlflow.entities import Metric, Param, RunTag

        tags = {**training.tags, "study": training.study.name}
        tags |= {"mlflow.parentRunId": self._study_run(training.study)}
        started = milliseconds(datetime.fromisoformat(training.training.started_at))
        run = self._run(training.id, training.name, tags, started)
        params = [Param(name, str(value)) for name, value in training.config.items()]
        self.client.log_batch(run, params=params)
        for step, values in enumerate(training.steps[known:], start=known + 1):
            time = milliseconds(training.time_of(step))
            metrics = [Metric(name, float(v), time, step) for name, v in values.items()]
            self.client.log_batch(run, metrics=metrics)
        if training.record is not None:
            numbers, words = training.end
            ended = milliseconds(datetime.fromisoformat(training.record["ended_at"]))
            last = len(training.steps)
            self.client.log_batch(
                run,
                metrics=[Metric(RECORD + n, float(v), ended, last) for n, v in numbers.items()],
                tags=[RunTag(RECORD + name, value) for name, value in words.items()],
            )
            status = "FINISHED" if training.has_succeeded else "FAILED"
            self.client.set_terminated(run, status, ended)

    def log_table(self, study: StudyView) -> None:
        """Log the comparison as an artifact of the study's run."""
        run = self._study_run(study)
        self.client.log_text(run, study.table or "", "comparison.md")
        self.client.set_terminated(run, "FINISHED")

    def _study_run(self, study: StudyView) -> str:
        started = milliseconds(datetime.fromisoformat(study.description["written_at"]))
        return self._run(study.id, study.name, {**study.about, "kind": "study"}, started)

    def _run(self, our_id: str, name: str, tags: Mapping[str, str], started: int) -> str:
        """The run that has this id of ours; made if there is none."""
        query = f"tags.`{OURS}` = '{our_id}'"
        found: Any = self.client.search_runs([self.experiment], filter_string=query)
        if not found:
            tags = {**tags, OURS: our_id, "mlflow.runName": name}
            found = [self.client.create_run(self.experiment, start_time=started, tags=tags)]
        return str(found[0].info.run_id)

    def _experiment(self, name: str, artifacts: str | None) -> str:
        from mlflow.exceptions import MlflowException

        if (found := self.client.get_experiment_by_name(name)) is None:
            try:
                return str(self.client.create_experiment(name, artifacts))
            except MlflowException:  # another process may have been first
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)


def milliseconds(time: datetime) -> int:
    """A time as MLflow counts it."""
    return int(time.timestamp() * 1000)
