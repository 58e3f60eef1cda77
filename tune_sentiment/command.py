"""What the command does with resolved studies: run what is missing of each, whatever fails."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tune_sentiment.backbone import Backbone
from tune_sentiment.config import Resources
from tune_sentiment.data import data_fingerprint, load_train_val
from tune_sentiment.errors import StartError, TuneSentimentError
from tune_sentiment.failures import Failures, of_the_disk, reading
from tune_sentiment.inside import check_links
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.lock import study_lock
from tune_sentiment.objects import StorageError
from tune_sentiment.outlook import announce, describe_counts, shared_texts
from tune_sentiment.progress import say
from tune_sentiment.splits import Split
from tune_sentiment.study import Study

if TYPE_CHECKING:
    from tune_sentiment.workload import Inputs


def search(
    studies: Sequence[Study],
    resources: Resources,
    results: Path,
    price_per_hour: float | None = None,
) -> Failures:
    """Run what is missing of each study, confirm its winner, then open the test split.

    Starts nothing when every study is complete. A study that fails does not stop the others.

    Args:
        studies: In the order in which idle slots are offered to them.
        resources: What was asked for.
        results: Folder of all ledgers.
        price_per_hour: Of a device, for the forecast.

    Returns:
        Which studies failed, and why.

    Raises:
        StartError: If nothing can run, or the disk takes no more; the first failure if all failed.
    """
    from tune_sentiment import confirm, preflight, tuner
    from tune_sentiment.machines import unused_gpus
    from tune_sentiment.nodes import NodeCheck
    from tune_sentiment.session import ray_session
    from tune_sentiment.sharing import Sharing

    failures = Failures(say)
    todo = _incomplete(studies, results, failures)
    if not todo and not failures.errors:
        say("every study is complete")
        return failures
    if todo:
        preflight.check([study for study, _ in todo], resources, results)
    with ExitStack() as held:
        able = []
        for study, folder in todo:
            with failures.of(study.id):
                held.enter_context(study_lock(folder.path))
                able.append((study, folder))
        if not able:
            failures.raise_if_all(study.id for study in studies)
            return failures
        say("starting Ray")
        held.enter_context(ray_session(resources))
        nodes = NodeCheck(results, say) if resources.is_cluster else None
        if nodes is not None:
            held.callback(nodes.close)
            nodes.wait_for_first(any(study.device != "cpu" for study, _ in able))
            nodes.check()
            if warning := unused_gpus([study for study, _ in able], resources):
                say(warning)
            able = _with_weights(able)
        inputs = _inputs(able, resources, failures)
        able = [(study, folder) for study, folder in able if study.id not in failures]

        def finish(study: Study, folder: StudyFolder) -> None:
            if study.config.confirm_seeds:
                say(f"{study.id}: the test split and the winner's model")
            confirm.finish(inputs[study.comparison], study, folder)

        with _disk_errors(results):
            sharing = Sharing.on_ray(resources, lambda study: inputs[study.comparison])
            forecasts = announce(able, inputs, resources, sharing, failures, price_per_hour)
            tuner.run(
                able,
                lambda study: inputs[study.comparison],
                resources,
                finish,
                failures,
                forecasts,
                {name: sharing.of(study) for study, _ in able if (name := study.id) in forecasts},
                (lambda: None) if nodes is None else nodes.look,
            )
    failures.raise_if_all(study.id for study in studies)
    return failures


def _incomplete(
    studies: Sequence[Study], results: Path, failures: Failures
) -> list[tuple[Study, StudyFolder]]:
    """The studies with something left to do, and their ledgers."""
    from tune_sentiment.confirm_plan import is_complete

    todo = []
    for study in studies:
        folder = StudyFolder(results / study.id)
        with failures.of(study.id), reading(folder.path):
            check_links(folder.path)
            if is_complete(study, folder):
                _tidy_complete(folder)
            else:
                todo.append((study, folder))
    return todo


def _inputs(
    work: Sequence[tuple[Study, StudyFolder]], resources: Resources, failures: Failures
) -> "dict[str, Inputs]":
    """Training and validation of each comparison whose texts can be read."""
    from tune_sentiment.session import SharedInputs
    from tune_sentiment.workload import Inputs

    made: dict[str, Inputs] = {}
    texts: dict[str, tuple[Split, Split]] = {}  # a dataset's, whatever models read them
    for study, _ in work:
        if study.comparison in made:
            continue
        source, config = study.source, study.config
        with failures.of(study.id):
            data = data_fingerprint(source.splits)
            if data not in texts:
                texts[data] = load_train_val(
                    source.dataset,
                    mirror=source.mirror,
                    train_samples=config.train_samples,
                    seed=config.seed,
                    planned=source.splits,
                )
                say(f"{source.dataset.name}: {describe_counts(study)}")
                if warning := shared_texts(study):
                    say(warning)
            train, validation = (
                SharedInputs(source.backbone, split, config.max_length, source.device, resources)
                for split in texts[data]
            )
            made[study.comparison] = Inputs(train, validation)
    return made


def _with_weights(work: Sequence[tuple[Study, StudyFolder]]) -> list[tuple[Study, StudyFolder]]:
    """The same studies, with backbones that reach every node of the running Ray."""
    from tune_sentiment.delivery import delivered

    made: dict[str, Backbone] = {}
    for study, _ in work:
        backbone = study.source.backbone
        if backbone.fingerprint not in made:
            made[backbone.fingerprint] = delivered(backbone)
    return [
        (
            replace(
                study,
                source=replace(study.source, backbone=made[study.source.backbone.fingerprint]),
            ),
            folder,
        )
        for study, folder in work
    ]


def _tidy_complete(folder: StudyFolder) -> None:
    """Delete what a process that was killed at the very end left of a study."""
    with suppress(StartError, OSError), study_lock(folder.path):
        folder.tidy()
        folder.drop_tensors()


@contextmanager
def _disk_errors(results: Path) -> Generator[None, None, None]:
    """Say in one line that the disk takes no more.

    Raises:
        StartError: If the body fails so.
    """
    try:
        yield
    except Exception as error:  # libraries tell of a full disk by errors of their own
        cause = getattr(error, "cause", error)  # of a task in a worker
        if cause is not error and isinstance(cause, StorageError):
            raise cause from error
        said = None if isinstance(error, TuneSentimentError) else of_the_disk(error)
        if said is None:
            raise
        raise StartError(
            f"cannot write in {results}: {said}. Everything that ended before is kept; the "
            "same command goes on once there is room"
        ) from error
