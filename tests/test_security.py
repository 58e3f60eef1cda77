"""Names, links and records: nothing outside the results folder is written or deleted.

Whatever a test here says must not be deleted is below its own ``tmp_path``: without the code that
is tested, it is deleted.
"""

import ast
import os
import re
import shutil
import stat
from pathlib import Path

import pytest

import run_search
from analysis.__main__ import main as analyse
from tests.canary import contents
from tests.conftest import CHECKOUT
from tests.growing import Growing
from tests.ledgers import trial, write
from tune_sentiment import command, dashboard, options, track
from tune_sentiment.config import Resources
from tune_sentiment.durable import write_json
from tune_sentiment.errors import StartError
from tune_sentiment.inside import check_beside, check_key, check_study, link_out
from tune_sentiment.lock import study_lock
from tune_sentiment.session import own_folder
from tune_sentiment.study import Study
from tune_sentiment.tracking.log import Log

SVM = ["--method", "svm", "--model", "tiny", "--confirm-seeds", "0"]
ROWS = "".join(f"{i % 2}\tfilm number {i}\n" for i in range(60))
EVIL_NAMES = ["..", "-rf", "a\nb", "<img src=x>", "=1+1", " ", "%2e%2e%2f", "$(touch x)", "..\\x"]
PARTS = ["trials", "evaluations", "confirm", "checkpoints", "winner", "ray", "tracking"]
DEEPER = ["checkpoints/k0", "winner/README.md", "ray/tune/tuner.pkl", "study.json", ".lock"]


def planned(results: Path, dataset: str = "demo") -> list[Study]:
    arguments = [*SVM, "--dataset", dataset, "--results", str(results)]
    return run_search.plan(options.build_parser().parse_args(arguments))[0]


@pytest.fixture(scope="module")
def svm(tmp_path_factory: pytest.TempPathFactory) -> Study:
    [study] = planned(tmp_path_factory.mktemp("results"))
    return study


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Somebody's files, of the kinds that a study deletes or writes again in its own folder."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("keep.safetensors", "000000001.json", "README.md", "tuner.pkl", ".x.tmp"):
        (folder / name).write_text(f"mine: {name}")
    return folder


@pytest.mark.parametrize("name", [*EVIL_NAMES, "x" * 200])
def test_whatever_a_file_is_called_its_study_stands_in_the_results_folder(
    name: str, tmp_path: Path
) -> None:
    data = tmp_path / f"{name}.tsv"
    data.write_text("label\ttext\n" + ROWS)
    [study] = planned(tmp_path / "results", str(data))
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,150}", study.id)
    assert (tmp_path / "results" / study.id).resolve().parent == tmp_path / "results"


@pytest.mark.parametrize("part", ["", *PARTS, *DEEPER])
def test_a_study_with_a_link_out_of_the_results_is_not_touched(
    part: str, svm: Study, tmp_path: Path, outside: Path
) -> None:
    link = tmp_path / "results" / svm.id / part
    link.parent.mkdir(parents=True)
    target = outside if not Path(part).suffix and part != ".lock" else outside / "README.md"
    link.symlink_to(target)
    before = contents(outside)
    with pytest.raises(StartError, match="leads out of"):
        command.search([svm], Resources(), tmp_path / "results")
    assert contents(outside) == before
    assert link.is_symlink()


def test_links_that_stay_inside_and_a_link_to_the_results_are_fine(tmp_path: Path) -> None:
    study = Growing(tmp_path / "real")
    (tmp_path / "results").symlink_to(tmp_path / "real")
    check_study(tmp_path / "results" / "lora")
    (study.folder.path / "latest").symlink_to(study.folder.study_file)
    (tmp_path / "real" / "alias").symlink_to(study.folder.path)
    check_study(tmp_path / "results" / "alias")
    (study.folder.path / "circle").symlink_to("circle")
    assert link_out(study.folder.path, tmp_path / "real") == study.folder.path / "circle"


def test_a_lock_that_is_a_link_empties_nothing(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / ".lock").symlink_to(outside / "README.md")
    with pytest.raises(StartError, match="is a link"), study_lock(tmp_path / "study"):
        pass
    assert (outside / "README.md").read_text() == "mine: README.md"


@pytest.mark.parametrize("key", ["{outside}", "../../../outside", "../trials", "k0\n", "", None])
def test_a_record_whose_key_names_another_folder_deletes_nothing(
    key: str | None, tmp_path: Path, outside: Path
) -> None:
    study, before = Growing(tmp_path / "results").folder, contents(outside)
    named = key and key.format(outside=outside)
    write_json(study.path / "trials" / "00000-k0.json", {**trial(0, 0.7), "key": named})
    (study.checkpoints / "k0").mkdir(parents=True)
    with pytest.raises(StartError, match="is not the key of a training"):
        study.tidy()
    if named is not None:
        with pytest.raises(StartError, match="is not the key of a training"):
            study.drop_checkpoints(named)
    assert contents(outside) == before
    assert (study.checkpoints / "k0").is_dir()
    check_key("0123456789ab-43", study.path)


def test_neither_does_what_was_proposed_under_such_a_key(tmp_path: Path) -> None:
    study = Growing(tmp_path / "results")
    study.begin(0)
    [path] = (study.folder.path / "evaluations").iterdir()
    path.write_text(path.read_text().replace('"k0"', '"../../../outside"'))
    with pytest.raises(StartError, match="is not the key of a training"):
        study.folder.history()


def test_what_a_killed_process_left_is_deleted_and_not_what_it_leads_to(
    tmp_path: Path, outside: Path
) -> None:
    study, before = Growing(tmp_path / "results").folder, contents(outside)
    (study.path / ".one.1.tmp").symlink_to(outside)
    (study.path / ".two.1.tmp").symlink_to(outside / "README.md")
    (study.path / "winner").symlink_to(outside)
    study.tidy()
    assert contents(outside) == before
    assert not (study.path / ".two.1.tmp").is_symlink()


def test_a_report_replaces_links_and_writes_through_none(
    tmp_path: Path, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, before = tmp_path / "results", contents(outside)
    write(results, "lora", [trial(0, 0.7)], [0.7, 0.7])
    (results / "figures").mkdir()
    for name in ("report.md", "report.html", "summary.md", "figures/1-pareto.png"):
        (results / name).symlink_to(outside / "README.md")
    assert analyse([str(results)]) == 0
    assert contents(outside) == before
    assert not (results / "report.md").is_symlink()
    (results / "linked").mkdir()
    (results / "linked" / "figures").symlink_to(outside)
    assert analyse([str(results), "--output", str(results / "linked")]) == 3
    assert "figures leads out of" in capsys.readouterr().err
    assert contents(outside) == before


def test_a_study_that_a_link_brings_into_the_table_is_left_as_it_is(
    tmp_path: Path, svm: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    results, elsewhere = tmp_path / "results", tmp_path / "elsewhere"
    write(elsewhere, "svm", [trial(0, 0.7)], [0.7], comparison=svm.comparison)
    write(results, "lora", [trial(0, 0.8)], [0.8], comparison=svm.comparison)
    (results / "svm").symlink_to(elsewhere / "svm")
    before = contents(elsewhere)
    words = [*SVM, "--dataset", "demo", "--results", str(results)]
    run_search.show(options.build_parser().parse_args(words), [svm], results)
    assert "| svm" in capsys.readouterr().out
    assert (results / "lora" / "comparison.md").exists()
    assert contents(elsewhere) == before


def test_trackers_write_through_no_link_out(
    tmp_path: Path, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, said = Growing(tmp_path / "results"), []
    folder, before = study.folder.path, contents(outside)
    study.end(study.begin(0), "failed")
    beside = tmp_path / "results" / "tracking"
    for link in (folder / "tracking", beside, beside / "tensorboard" / folder.name):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(outside)
        assert not Log("tensorboard", "p", [folder], said.append).run(is_last=True)
        assert "leads out of" in said[-1]
        link.unlink()
    shutil.rmtree(beside)
    (tmp_path / "results" / "tracking").symlink_to(outside)
    assert dashboard.main([str(tmp_path / "results")]) == 3
    (tmp_path / "named").mkdir()
    (tmp_path / "named" / "lora").symlink_to(folder)
    assert track.main([str(tmp_path / "named"), "--track", "tensorboard"]) == 2
    assert dashboard.main([str(tmp_path / "named")]) == 2
    assert "is reached by a link only" in capsys.readouterr().err
    assert contents(outside) == before
    check_beside(tmp_path / "results" / "no-such-folder")


def test_rays_folder_is_this_users_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        made = own_folder(tmp_path)
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        assert own_folder(tmp_path) == made
        made.chmod(0o711)
        with pytest.raises(StartError, match="open to other users"):
            own_folder(tmp_path)
        made.rmdir()
        (tmp_path / "private").mkdir(mode=0o700)
        made.symlink_to(tmp_path / "private")
        with pytest.raises(StartError, match="open to other users"):
            own_folder(tmp_path)
        made.unlink()
        made.write_text("")
        with pytest.raises(StartError, match="cannot make"):
            own_folder(tmp_path)
    finally:
        os.umask(old)


def test_no_code_of_ours_unpickles() -> None:
    folders = ("tune_sentiment", "search_spaces", "analysis")
    paths = [path for folder in folders for path in sorted((CHECKOUT / folder).rglob("*.py"))]
    paths.append(CHECKOUT / "run_search.py")
    unpickling = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "read_pickle"}
    words = re.compile(r"\b(torch|np|numpy)\.load\(|allow_pickle|Tuner\.restore")
    assert len(paths) > 100
    for path in paths:
        text = path.read_text(encoding="utf-8")
        names = {getattr(n, "id", getattr(n, "attr", None)) for n in ast.walk(ast.parse(text))}
        names |= {n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.alias)}
        assert not names & unpickling, path
        assert not words.search(text), path
