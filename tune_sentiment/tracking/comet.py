"""Comet: an experiment for each training; archives on disk without an API key."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tune_sentiment.tracking.view import RECORD, StudyView, TrainingView

QUIET = {"COMET_LOGGING_CONSOLE": "ERROR", "COMET_ERROR_TRACKING_ENABLE": "0"}
NOTHING_BY_ITSELF: dict[str, Any] = dict.fromkeys(
    (
        "log_code",
        "log_graph",
        "parse_args",
        "log_git_metadata",
        "log_git_patch",
        "log_env_details",
        "auto_output_logging",
        "auto_param_logging",
        "auto_metric_logging",
        "auto_log_co2",
    ),
    False,
)


class CometTracker:
    """Logs to Comet where there is an API key, else into archives, one for each call.

    Args:
        folder: Gets ``comet/``, unless ``COMET_OFFLINE_DIRECTORY`` says otherwise.
        project: The project's name.
    """

    def __init__(self, folder: Path, project: str) -> None:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        import comet_ml

        self.comet, self.project = comet_ml, project
        config = comet_ml.get_config()
        has_key = bool(config["comet.api_key"])
        self.is_live = config.get_bool(None, "comet.start.online", default=has_key)
        self.folder = Path(os.environ.get("COMET_OFFLINE_DIRECTORY") or folder / "comet")
        server = config["comet.url_override"] if self.is_live else f"offline {self.folder}"
        self.where = f"{server} {config['comet.workspace']} {project}"

    def log(self, training: TrainingView, known: int) -> None:
        """Log what is new; an experiment that was begun before goes on under its key."""
        tags = [training.study.name, *training.tags.values()]
        experiment = self._experiment(training.study, training.id, training.name, tags)
        experiment.log_parameters(training.config)
        for step, values in enumerate(training.steps[known:], start=known + 1):
            experiment.log_metrics(values, step=step)
        if training.record is not None:
            numbers, words = training.end
            fields = {f"{RECORD}{n}": value for n, value in {**numbers, **words}.items()}
            experiment.log_others(fields)
        experiment.end()

    def log_table(self, study: StudyView) -> None:
        """Log the comparison as an asset of an experiment of its own."""
        tags = [study.name, *study.about.values(), "study"]
        experiment = self._experiment(study, study.id, "study", tags)
        experiment.log_asset_data(study.table, name="comparison.md", overwrite=True)
        experiment.end()

    def _experiment(self, study: StudyView, key: str, name: str, tags: Sequence[str]) -> Any:
        if not self.is_live:
            self.folder.mkdir(parents=True, exist_ok=True)
        config = self.comet.ExperimentConfig(
            **NOTHING_BY_ITSELF,
            display_summary_level=0,
            offline_directory=str(self.folder),
            name=name,
            tags=list(tags),
        )
        experiment = self.comet.start(
            project_name=self.project,
            experiment_key=key,
            mode="get_or_create",  # archives may be uploaded in any order
            online=self.is_live,
            experiment_config=config,
        )
        experiment.log_other("study", study.name)
        return experiment
