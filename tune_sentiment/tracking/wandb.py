"""Weights & Biases: a run for each training, grouped by study; offline without an API key."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tune_sentiment.tracking.view import RECORD, StudyView, TrainingView

QUIET = {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false", "WANDB_DISABLE_WEAVE": "true"}
LONGEST_TAG = 64  # characters, W&B's own limit
KEY_VARIABLES = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")


class WandbTracker:
    """Logs to ``WANDB_MODE``, or online where there is an API key and offline where there is none.

    Args:
        folder: Gets ``wandb/``, unless ``WANDB_DIR`` says otherwise.
        project: The project's name.
    """

    def __init__(self, folder: Path, project: str) -> None:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        import wandb

        self.wandb, self.project = wandb, project
        settings = wandb.setup().settings
        self.mode = settings.mode
        if self.mode == "online" and not _has_key(settings.base_url):
            self.mode = "offline"
        self.is_live = self.mode == "online"
        self.folder = Path(os.environ.get("WANDB_DIR") or folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        server = settings.base_url if self.is_live else f"{self.mode} {self.folder}"
        self.where = f"{server} {settings.entity} {project}"

    def log(self, training: TrainingView, known: int) -> None:
        """Log what is new; a run that was begun before goes on under its id."""
        run = self._run(
            training.study,
            training.id,
            name=training.name,
            job_type=training.kind,
            tags=[tag[:LONGEST_TAG] for tag in training.tags.values()],
            config=training.config,
        )
        there = run.step - 1  # online, the server knows what it has
        for step, values in enumerate(training.steps, start=1):
            if step > max(known, there):
                run.log(values, step=step)
        if training.record is not None:
            numbers, words = training.end
            run.summary.update({f"{RECORD}{n}": v for n, v in {**numbers, **words}.items()})
        is_failed = training.record is not None and not training.has_succeeded
        run.finish(exit_code=1 if is_failed else 0)

    def log_table(self, study: StudyView) -> None:
        """Log the comparison as an artifact of a run of its own."""
        run = self._run(study, study.id, name="study", job_type="study", config=study.about)
        artifact = self.wandb.Artifact(f"comparison-{study.id}", type="comparison")
        with artifact.new_file("comparison.md", mode="w", encoding="utf-8") as file:
            file.write(study.table or "")
        run.log_artifact(artifact)
        run.finish()

    def _run(
        self, study: StudyView, run_id: str, *, config: Mapping[str, Any], **about: Any
    ) -> Any:
        settings = self.wandb.Settings(
            silent=True,
            console="off",
            disable_code=True,
            disable_git=True,
            disable_job_creation=True,
            x_disable_stats=True,  # of this process, which trains nothing
        )
        return self.wandb.init(
            project=self.project,
            group=study.name,
            id=run_id,
            mode=self.mode,
            dir=str(self.folder),
            resume="allow",
            reinit="finish_previous",
            config=dict(config),
            settings=settings,
            **about,
        )


def _has_key(server: str) -> bool:
    """Whether W&B would find a key without asking for one."""
    from requests.utils import get_netrc_auth

    return any(os.environ.get(name) for name in KEY_VARIABLES) or bool(get_netrc_auth(server))
