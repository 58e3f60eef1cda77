"""Running trainings: plan from the ledgers, let Ray Tune run what is missing, go on when it dies.

Each run of Ray Tune is a new one that is filled from the ledgers, whether the one before was ended
by a signal, by a time budget or by an error of Ray's.
"""

import gc
from collections.abc import Callable, Mapping, Sequence

import ray
from ray import tune

from tune_sentiment.config import Resources
from tune_sentiment.course import Course
from tune_sentiment.errors import Escape, StartError
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.nodes import LostNodes
from tune_sentiment.progress import Screen, say
from tune_sentiment.relay import Relay, StageListeners, StageScheduler
from tune_sentiment.session import known_nodes
from tune_sentiment.study import Study
from tune_sentiment.supervisor import MAX_LOSSES, Supervisor
from tune_sentiment.trainable import Job, run_trial
from tune_sentiment.workload import Inputs, trial_setup


def run(
    work: Sequence[tuple[Study, StudyFolder]],
    inputs: Inputs,
    resources: Resources,
    on_trained: Callable[[Study, StudyFolder], None] = lambda study, folder: None,
    per_gpu: Mapping[str, int] | None = None,
) -> None:
    """Train all that these studies still miss: trials, and their winners with fresh seeds.

    Studies whose trainings get the same slots share a run of Ray Tune. One with a time budget
    searches alone, so that its clock is its own.

    Args:
        work: The studies, in the order of their first trials, and their ledgers.
        inputs: Training and validation.
        resources: What was asked for.
        on_trained: Told of each study that has nothing left to train, between two runs.
        per_gpu: Trainings of each study that have room on a GPU, by its id; one if not given.
    """
    supervisor, shares = Supervisor(say), per_gpu or {}
    courses = [
        Course(study, folder, resources, supervisor, shares.get(study.id, 1))
        for study, folder in work
    ]
    while courses:
        ready = [course for course in courses if course.next_stage()]
        for course in courses:
            if course not in ready:
                on_trained(course.study, course.folder)
        courses = ready
        if courses:
            timed = courses[:1] if courses[0].is_timed else []
            together = timed or [course for course in courses if not course.is_timed]
            _run_together(together, inputs, supervisor)


def _run_together(courses: Sequence[Course], inputs: Inputs, supervisor: Supervisor) -> None:
    """One run of Ray Tune, with the slots of the first study's stage."""
    stage, seconds = courses[0].stage, courses[0].start_clock()
    assert stage is not None
    screen = Screen()
    mode = courses[0].study.metric.mode
    relay = Relay(
        courses,
        stage.slots,
        mode=mode,
        screen=screen,
        nodes=LostNodes(known_nodes),
        is_single=seconds is not None,
    )
    with supervisor.watch(relay.recorders), screen:
        _fit(relay, inputs, seconds)
    if supervisor.has_died:
        gc.collect()  # what the dead run held: its actors and their cores
        for course in courses:
            course.plan_again()
    elif seconds is not None:
        courses[0].end_stage()


def _fit(relay: Relay, inputs: Inputs, seconds: float | None) -> None:
    """One run of Ray Tune; its own files are a cache that nothing reads.

    The inputs are made before the first trial takes its cores: a trial that waited for them inside
    its own reservation could keep them from ever being made.

    Args:
        relay: Says what runs.
        inputs: Training and validation.
        seconds: When to stop, with what runs left open.

    Raises:
        StartError: If the inputs cannot be made.
    """
    slots = relay.slots
    jobs = {
        course.study.id: Job(
            setup=trial_setup(course.study, slots, course.folder),
            keep=course.folder.confirm.resolve(),
            **inputs.references(course.study.method),
        )
        for course in relay.courses
        if course.stage is not None and course.stage.slots == slots
    }
    try:
        ray.get([reference for job in jobs.values() for reference in (*job.train, *job.validation)])
    except ray.exceptions.RayTaskError as error:
        raise StartError(f"the inputs cannot be made: {error.cause}") from error
    trainable = tune.with_parameters(run_trial, jobs=jobs)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"CPU": slots.cpus, "GPU": slots.gpus}),
        tune_config=tune.TuneConfig(
            num_samples=-1,  # until the relay has no more
            search_alg=relay,
            scheduler=StageScheduler(relay),
            max_concurrent_trials=slots.concurrency,
            time_budget_s=seconds,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str((relay.courses[0].folder.path / "ray").resolve()),
            failure_config=tune.FailureConfig(max_failures=MAX_LOSSES - 1),
            callbacks=[StageListeners(relay)],
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    except Escape as escape:
        raise escape.__cause__ or escape from None
