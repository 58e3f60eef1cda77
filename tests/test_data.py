from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tune_sentiment.columns import Columns
from tune_sentiment.data import (
    data_fingerprint,
    describe_splits,
    load_test,
    load_train_val,
    mirror_folder,
)
from tune_sentiment.datasets_table import DATASETS
from tune_sentiment.errors import StartError, UsageError
from tune_sentiment.hub import describe_dataset, load_rows
from tune_sentiment.splits import Split, stratified_subset, summarise, text_hash, words_of

SPEC = DATASETS["rotten_tomatoes"]


def write_mirror(root: Path, **columns: Any) -> Path:
    folder = root / SPEC.name
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation", "test"):
        good = {"text": [f"{split} good {i}" for i in range(4)], "label": [1, 0, 1, 0]}
        pd.DataFrame({**good, **columns}).to_parquet(folder / f"{split}.parquet")
    return root


def test_the_demo_corpus_is_balanced_and_its_splits_are_disjoint() -> None:
    made = describe_splits(DATASETS["demo"], mirror=None, seed=1)
    assert {name: s.rows for name, s in made.items()} == {
        "train": 800,
        "validation": 200,
        "test": 200,
    }
    assert all(s.class_counts == (s.rows // 2, s.rows // 2) for s in made.values())
    hashes = np.concatenate([s.text_hashes for s in made.values()])
    assert len(np.unique(hashes)) == 1_200


@pytest.mark.data
def test_rotten_tomatoes_has_its_published_sizes_and_disjoint_splits(real_data: Path) -> None:
    made = describe_splits(SPEC, mirror=real_data, seed=1)
    assert [s.rows for s in made.values()] == [8_530, 1_066, 1_066]
    assert all(s.class_counts[0] == s.class_counts[1] for s in made.values())
    hashes = [set(s.text_hashes.tolist()) for s in made.values()]
    assert not (hashes[0] & hashes[1])
    assert not (hashes[0] & hashes[2])
    assert not (hashes[1] & hashes[2])


def test_a_mirror_is_read_before_the_hub(tmp_path: Path) -> None:
    mirror = write_mirror(tmp_path)
    train, validation = load_train_val(SPEC, mirror=mirror, train_samples=None, seed=1)
    assert train.texts == [f"train good {i}" for i in range(4)]
    assert validation.labels.tolist() == [1, 0, 1, 0]
    assert load_test(SPEC, mirror=mirror, seed=1).texts[0] == "test good 0"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [1, 0, -1, 0]}, "line 3: the label is -1, which means unlabelled"),
        ({"label": [1, 0, 2, 0]}, "line 3: unknown label 2. Labels: 0, 1"),
        ({"label": [1.0, 0.5, 1.0, 0.0]}, "line 1: the label is 1.0; whole numbers"),
        ({"text": ["a", "  ", "b", "c"]}, "line 2: no text"),
        ({"text": ["a", None, "b", "c"]}, "line 2: no text"),
    ],
)
def test_bad_rows_are_refused_with_file_and_row(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    mirror = write_mirror(tmp_path, **columns)
    with pytest.raises(UsageError, match=message) as caught:
        load_train_val(SPEC, mirror=mirror, train_samples=None, seed=1)
    assert "train.parquet" in str(caught.value)


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    mirror = write_mirror(tmp_path)
    for path in (mirror / SPEC.name).iterdir():
        pd.read_parquet(path).rename(columns={"text": "review"}).to_parquet(path)
    with pytest.raises(UsageError, match=r"no column 'text'\. Columns: review, label"):
        describe_splits(SPEC, mirror=mirror, seed=1)


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path) -> None:
    mirror = write_mirror(tmp_path)
    (mirror / SPEC.name / "train.parquet").write_text("text,label\n")
    with pytest.raises(UsageError, match="not a readable parquet file"):
        describe_splits(SPEC, mirror=mirror, seed=1)


def test_without_mirror_and_hub_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"--data-dir .*--dataset demo needs no network"):
        describe_splits(SPEC, mirror=tmp_path, seed=1)


def test_a_mirror_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        mirror_folder(str(tmp_path / "nowhere"))


def make_split(rows: int) -> Split:
    labels = (np.arange(rows) % 4 == 0).astype(np.int64)
    return Split([f"text {i}" for i in range(rows)], labels)


def test_a_subset_keeps_class_shares_order_and_seed() -> None:
    whole = make_split(400)
    made = stratified_subset(whole, 100, seed=1)
    assert len(made) == 100
    assert made.labels.sum() == 25
    numbers = [int(text.split()[1]) for text in made.texts]
    assert numbers == sorted(numbers)
    assert [whole.labels[i] for i in numbers] == made.labels.tolist()
    assert stratified_subset(whole, 100, seed=1).texts == made.texts
    assert stratified_subset(whole, 100, seed=2).texts != made.texts


@pytest.mark.parametrize("size", [401, 1, 399])
def test_a_subset_that_cannot_be_stratified_is_refused(size: int) -> None:
    with pytest.raises(UsageError, match=f"got {size}"):
        stratified_subset(make_split(400), size, seed=1)


def test_a_subset_of_classes_with_a_single_text_is_refused() -> None:
    rare = Split([f"text {i}" for i in range(30)], np.array([0] * 14 + [1] * 15 + [2]))
    with pytest.raises(UsageError, match="no stratified subset of 10 of 30: a class has a single"):
        stratified_subset(rare, 10, seed=1)


def test_words_ignore_case_and_punctuation() -> None:
    assert words_of("It's  A\tGOOD-film!") == ("it", "s", "a", "good", "film")
    assert text_hash("A film.") == text_hash("a FILM") != text_hash("a movie")
    assert text_hash("I don't know") == text_hash("i do n't know")
    assert text_hash("की") != text_hash("का")  # the same letter with another vowel's mark
    assert text_hash("great ❤️") == text_hash("great")  # a mark behind a sign says nothing
    assert len({text_hash(text) for text in ("!!!", "😀", "...", " ... ")}) == 3


def test_the_fingerprint_changes_with_any_text_label_or_order() -> None:
    base = make_split(8)
    others = [
        Split(["other", *base.texts[1:]], base.labels),
        Split(base.texts, 1 - base.labels),
        Split(base.texts[::-1], base.labels[::-1]),
    ]
    prints = [summarise(s, 2).fingerprint for s in (base, *others)]
    assert len(set(prints)) == 4
    assert summarise(make_split(8), 2).fingerprint == prints[0]


def test_texts_that_stand_in_train_too_are_counted(tmp_path: Path) -> None:
    mirror = write_mirror(tmp_path, text=["So good!", "too bad", "fine", "poor"])
    made = describe_splits(SPEC, mirror=mirror, seed=1)
    assert [s.num_texts_in_train for s in made.values()] == [None, 4, 4]
    assert made["test"].share_with_training_phrase == 0.0


def test_a_mirror_without_one_of_its_splits_is_not_filled_up_from_the_hub(tmp_path: Path) -> None:
    mirror = write_mirror(tmp_path)
    (mirror / SPEC.name / "test.parquet").unlink()
    with pytest.raises(UsageError, match="no test file"):
        describe_splits(SPEC, mirror=mirror, seed=1)


def test_data_that_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    mirror = write_mirror(tmp_path)
    planned = describe_splits(SPEC, mirror=mirror, seed=1)
    load_train_val(SPEC, mirror=mirror, train_samples=None, seed=1, planned=planned)
    path = mirror / SPEC.name / "validation.parquet"
    table = pd.read_parquet(path)
    table.assign(label=1 - table.label).to_parquet(path)
    with pytest.raises(StartError, match="the validation texts have changed"):
        load_train_val(SPEC, mirror=mirror, train_samples=None, seed=1, planned=planned)


def test_all_splits_are_in_the_datas_fingerprint(tmp_path: Path) -> None:
    mirror = write_mirror(tmp_path)
    before = data_fingerprint(describe_splits(SPEC, mirror=mirror, seed=1))
    for split in ("train", "validation", "test"):
        path = mirror / SPEC.name / f"{split}.parquet"
        table = pd.read_parquet(path)
        table.assign(label=1 - table.label).to_parquet(path)
        after = data_fingerprint(describe_splits(SPEC, mirror=mirror, seed=1))
        assert after != before
        before = after


def test_a_dataset_without_a_validation_split_holds_out_a_tenth_of_train(tmp_path: Path) -> None:
    folder = tmp_path / "ag_news"
    folder.mkdir()
    for part, rows in (("train", 400), ("test", 80)):
        texts = [f"{part} story number {i}" for i in range(rows)]
        labels = [i % 4 for i in range(rows)]
        pd.DataFrame({"text": texts, "label": labels}).to_parquet(folder / f"{part}.parquet")
    made = describe_splits(DATASETS["ag_news"], mirror=tmp_path, seed=1)
    assert {name: s.class_counts for name, s in made.items()} == {
        "train": (90,) * 4,
        "validation": (10,) * 4,
        "test": (20,) * 4,
    }


@pytest.mark.parametrize(
    ("column", "classes", "values"),
    [(["up", "down"], ("down", "up"), ("down", "up")), ([1, 5], ("1", "5"), (1, 5))],
)
def test_a_hub_dataset_says_its_splits_columns_and_classes(
    tmp_path: Path, column: list[Any], classes: tuple[str, ...], values: tuple[Any, ...]
) -> None:
    for part in ("train", "test"):
        made = {"id": [1, 2], "sentence": [f"{part} a", f"{part} b"], "label": column}
        pd.DataFrame(made).to_parquet(tmp_path / f"{part}.parquet")
    # The datasets library reads a folder as it reads a repository on the hub.
    found = describe_dataset(str(tmp_path), Columns())
    assert set(found.splits) == {"train", "test"}
    assert (found.classes, found.values) == (classes, values)
    assert found.columns == Columns(text="sentence", label="label")
    rows = load_rows(str(tmp_path), "test", found.columns, "")
    assert (rows.texts, rows.labels) == (["test a", "test b"], column)
