"""Running trainings: plan from the ledgers, let Ray Tune run what is missing, go on when it dies.

Each run of Ray Tune is a new one that is filled from the ledgers, whether the one before was ended
by a signal, by a time budget or by an error of Ray's.
"""

import gc
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from ray import tune

from tune_sentiment.config import Resources
from tune_sentiment.course import Course
from tune_sentiment.errors import Escape
from tune_sentiment.failures import Failures, reading
from tune_sentiment.forecast import Forecast
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.listeners import StageListeners, StageScheduler
from tune_sentiment.lost_nodes import LostNodes
from tune_sentiment.machines import known_nodes, room
from tune_sentiment.progress import say
from tune_sentiment.relay import Relay
from tune_sentiment.screen import Screen
from tune_sentiment.sources import labels
from tune_sentiment.study import Study
from tune_sentiment.supervisor import MAX_LOSSES, Supervisor
from tune_sentiment.trainable import Job, resources_of, run_trial
from tune_sentiment.workload import Inputs, trial_setup


def run(
    work: Sequence[tuple[Study, StudyFolder]],
    inputs_of: Callable[[Study], Inputs],
    resources: Resources,
    on_trained: Callable[[Study, StudyFolder], None] = lambda study, folder: None,
    failures: Failures | None = None,
    forecasts: Mapping[str, Forecast] = MappingProxyType({}),
    per_gpu: Mapping[str, int] = MappingProxyType({}),
    look_at_nodes: Callable[[], None] = lambda: None,
) -> Failures:
    """Train all that these studies still miss: trials, and their winners with fresh seeds.

    They share a run of Ray Tune. One with a time budget searches alone, so that its clock is its
    own. One that fails is left out, the others go on.

    Args:
        work: The studies, in the order of their first trials, and their ledgers.
        inputs_of: A study's training and validation.
        resources: What was asked for.
        on_trained: Told of each study that has nothing left to train, between two runs.
        failures: Takes studies that cannot go on.
        forecasts: What studies are expected to take, by their ids; kept in their ledgers.
        per_gpu: Trainings of each study that have room on a GPU, by its id; one if not given.
        look_at_nodes: Called every now and then; what it raises ends the run.

    Returns:
        Which studies failed, and why.
    """
    failures = failures or Failures(say)
    supervisor, names = Supervisor(say), labels([study for study, _ in work])
    courses = []
    for study, folder in work:
        if study.id in failures:
            continue
        with failures.of(study.id), reading(folder.path):
            known = names[study.id], forecasts.get(study.id), per_gpu.get(study.id, 1)
            courses.append(Course(study, folder, resources, supervisor, *known))
    while courses:
        ready = []
        for course in courses:
            with failures.of(course.study.id):
                with reading(course.folder.path):
                    stage = course.next_stage()
                if stage is None:
                    on_trained(course.study, course.folder)
                else:
                    ready.append(course)
        if ready:
            timed = ready[:1] if ready[0].is_timed else []
            together = timed or [course for course in ready if not course.is_timed]
            jobs = _jobs(together, inputs_of, failures)
            able = [course for course in together if course.study.id in jobs]
            if able:
                _run_together(able, jobs, supervisor, failures, look_at_nodes)
        courses = [course for course in ready if course.study.id not in failures]
    return failures


def _run_together(
    courses: Sequence[Course],
    jobs: Mapping[str, Job],
    supervisor: Supervisor,
    failures: Failures,
    look_at_nodes: Callable[[], None],
) -> None:
    """One run of Ray Tune."""
    seconds = courses[0].start_clock()
    screen = Screen([course.label for course in courses])
    relay = Relay(
        courses,
        room(courses[0].resources),
        mode=courses[0].study.metric.mode,
        screen=screen,
        is_single=seconds is not None,
        nodes=LostNodes(known_nodes),
        failures=failures,
    )
    with supervisor.watch(relay.recorders), screen:
        _fit(relay, jobs, seconds, look_at_nodes)
    if supervisor.has_died or relay.is_pausing:
        gc.collect()  # what the run held: its actors and their cores
        for course in courses:
            with failures.of(course.study.id), reading(course.folder.path):
                course.plan_again()
    elif seconds is not None:
        with failures.of(courses[0].study.id):
            courses[0].end_stage()


def _jobs(
    courses: Sequence[Course], inputs_of: Callable[[Study], Inputs], failures: Failures
) -> dict[str, Job]:
    """What the trainings of each study need, whose inputs could be made.

    They are made before the first trial takes its cores: a trial that waited for them inside its
    own reservation could keep them from ever being made.
    """
    made: dict[str, Job] = {}
    for course in courses:
        study, stage = course.study, course.stage
        assert stage is not None
        with failures.of(study.id):
            made[study.id] = Job(
                setup=trial_setup(study, stage.slots, course.folder),
                keep=course.folder.confirm.resolve(),
                **inputs_of(study).references(study.method),
            )
    return made


def _fit(
    relay: Relay,
    jobs: Mapping[str, Job],
    seconds: float | None,
    look_at_nodes: Callable[[], None],
) -> None:
    """One run of Ray Tune; its own files are a cache that nothing reads.

    Args:
        relay: Says what runs.
        jobs: What the trainings of each study need.
        seconds: When to stop, with what runs left open.
        look_at_nodes: Called every now and then.
    """
    trainable = tune.with_parameters(run_trial, jobs=jobs)
    tuner = tune.Tuner(
        tune.with_resources(trainable, resources_of),
        tune_config=tune.TuneConfig(
            num_samples=-1,  # until the relay has no more
            search_alg=relay,
            scheduler=StageScheduler(relay),
            max_concurrent_trials=relay.room.most,
            time_budget_s=seconds,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str((relay.courses[0].folder.path / "ray").resolve()),
            failure_config=tune.FailureConfig(max_failures=MAX_LOSSES - 1),
            callbacks=[StageListeners(relay, look_at_nodes)],
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    except Escape as escape:
        raise escape.__cause__ or escape from None
