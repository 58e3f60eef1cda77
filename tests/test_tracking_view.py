"""A training as trackers see it."""

from pathlib import Path

from tests.growing import Growing
from tune_sentiment.tracking.view import TrainingView, study_view, trainings_of


def views(study: Growing) -> dict[str, TrainingView]:
    view = study_view(study.folder)
    return {training.name: training for training in trainings_of(study.folder, view)}


def test_a_run_is_named_by_study_and_key_and_knows_what_was_decided(tmp_path: Path) -> None:
    study, other = Growing(tmp_path), Growing(tmp_path, "other")
    for each in (study, other):
        each.begin(0)
    study.confirm(0)
    made = views(study)
    assert list(made) == ["trial 0", "confirm 0 seed 43"]
    ids = [view.id for view in (*made.values(), *views(other).values())]
    assert len({*ids, study_view(study.folder).id}) == 4
    assert all(len(each) == 32 and each.isalnum() for each in ids)
    assert views(study)["trial 0"].id == ids[0]
    config = made["trial 0"].config
    expected = {"lr": 1e-4, "rank": 8, "seed": 42, "max_epochs": 3, "method": "lora", "number": 0}
    assert expected.items() <= config.items()
    tags = {"method": "lora", "dataset": "demo", "model": "tiny"}
    assert made["trial 0"].tags == {**tags, "kind": "trial"}
    assert made["confirm 0 seed 43"].tags == {**tags, "kind": "confirm"}


def test_the_end_is_every_field_of_the_record_that_is_not_a_setting(tmp_path: Path) -> None:
    study = Growing(tmp_path)
    trial = study.begin(0)
    study.evaluate(trial, 0.7)
    study.evaluate(trial, 0.6, "diverged")
    study.end(trial, "diverged")
    view = views(study)["trial 0"]
    assert [step["val_accuracy"] for step in view.steps] == [0.7]
    assert "sequence" not in view.steps[0]
    assert view.time_of(1).isoformat() == "2026-01-02T03:04:16+00:00"
    numbers, words = view.end
    assert (numbers["val_accuracy"], numbers["evaluations_run"]) == (0.7, 2)
    assert (words["status"], words["device"]) == ("diverged", "cpu")
    assert not {"lr", "rank", "seed"} & {*numbers, *words}
    assert not view.has_succeeded


def test_a_trial_whose_evaluations_were_lost_is_known_by_its_record(tmp_path: Path) -> None:
    study = Growing(tmp_path)
    trial = study.begin(0)
    study.evaluate(trial, 0.7, "finished")
    study.end(trial, "finished")
    (study.folder.path / "evaluations" / "k0.jsonl").unlink()
    view = views(study)["trial 0"]
    assert (view.steps, view.config["rank"], view.has_succeeded) == ([], 8, True)
