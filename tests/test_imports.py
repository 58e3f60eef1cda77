"""Who may import whom, and what a usage error may load."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tune_sentiment"
# session, recorder, supervisor, command and outlook stand beside the files that DESIGN names: they
# start Ray, listen to it, go on when it dies, and say what it will cost.
MAY_IMPORT_RAY = {"space", "trainable", "searcher", "scheduler", "tuner", "confirm", "progress"}
MAY_IMPORT_RAY |= {"session", "recorder", "supervisor", "command", "trackers", "relay", "preset"}
MAY_IMPORT_RAY |= {"machines"}  # what the running Ray has
MAY_IMPORT_RAY |= {"nodes", "delivery"}  # what a cluster's other machines are brought and asked
MAY_IMPORT_RAY |= {"listeners", "outlook"}
MAY_IMPORT_RAY |= {"sharing"}
HEAVY = {"ray", "torch", "transformers", "peft", "sklearn", "datasets", "pandas", "optuna"}
HEAVY |= {"obstore", "wandb", "comet_ml", "mlflow", "tensorboard", "tensorboardX"}


def imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def roots(path: Path, *, top_level_only: bool = False) -> set[str]:
    return {name.partition(".")[0] for name in imports(path, top_level_only=top_level_only)}


def files(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("path", files("tune_sentiment"), ids=lambda p: p.stem)
def test_the_package_never_imports_what_stands_on_it(path: Path) -> None:
    assert roots(path) & {"search_spaces", "analysis", "run_search", "benchmarks"} == set()


@pytest.mark.parametrize("path", files("analysis"), ids=lambda p: p.stem)
def test_the_analysis_reads_ledgers_only(path: Path) -> None:
    assert roots(path) & {"ray", "torch", "transformers", "search_spaces", "pickle"} == set()


@pytest.mark.parametrize("path", files("tune_sentiment"), ids=lambda p: p.stem)
def test_ray_is_imported_where_it_belongs(path: Path) -> None:
    if path.parent == PACKAGE and path.stem in MAY_IMPORT_RAY:
        return
    assert "ray" not in roots(path)


def test_only_the_confirmation_loads_the_test_split() -> None:
    users = {
        path.stem
        for path in [*files("tune_sentiment"), *files("analysis"), ROOT / "run_search.py"]
        if path.stem != "data" and "load_test" in path.read_text(encoding="utf-8")
    }
    assert users == {"confirm"}


@pytest.mark.parametrize("path", files("tune_sentiment/methods"), ids=lambda p: p.stem)
def test_a_method_file_imports_nothing_heavy_at_the_top(path: Path) -> None:
    assert roots(path, top_level_only=True) & (HEAVY | {"numpy"}) == set()


@pytest.mark.parametrize(
    ("command", "arguments", "code"),
    [
        ("run_search", ["--help"], 0),
        ("run_search", ["--method", "lorra", "--dataset", "demo"], 2),
        ("run_search", ["--trials", "x"], 2),
        ("run_search", ["--method", "lora", "--dataset", "demo", "--track", "wandbb"], 2),
        ("tune_sentiment.track", ["--help"], 0),
        ("tune_sentiment.track", ["results", "--track", "wandbb"], 2),
        ("tune_sentiment.track", ["no-such-folder", "--track", "wandb"], 2),
        ("tune_sentiment.dashboard", ["--help"], 0),
        ("tune_sentiment.dashboard", ["no-such-folder"], 2),
        ("tune_sentiment.predict", ["--help"], 0),
        ("tune_sentiment.predict", ["results", "a film", "--push", "me/mine"], 2),
        ("tune_sentiment.predict", ["results", "--file", "no-such-file.csv"], 2),
        ("tune_sentiment.explore", ["--help"], 0),
        ("tune_sentiment.explore", ["--dataset", "demmo"], 2),
        ("tune_sentiment.explore", ["--dataset", "demo", "--model", "minillm"], 2),
        ("tune_sentiment.explore", ["--dataset", "demo", "--max-length", "1"], 2),
        ("tune_sentiment.explore", ["--dataset", "demo", "--text", ""], 2),
        ("tune_sentiment.explore", ["--dataset", "demo", "--figure", "lengths"], 2),
    ],
)
def test_help_and_usage_errors_load_neither_torch_nor_ray(
    command: str, arguments: list[str], code: int
) -> None:
    script = (
        f"import sys\nfrom {command} import main\n"
        "try:\n    code = main(sys.argv[1:])\n"
        "except SystemExit as end:\n    code = end.code\n"
        f"print(sorted(set(sys.modules) & {HEAVY}), code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == f"[] {code}"
    assert "Traceback" not in done.stderr


def test_the_analysis_loads_nothing_heavy_however_it_comes() -> None:
    script = "import sys, analysis.__main__; print(sorted(set(sys.modules) & {'ray', 'torch'}))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_no_file_has_grown_two_jobs() -> None:
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("tune_sentiment", "search_spaces", "analysis", "benchmarks")
        for path in files(folder)
    }
    sizes["run_search.py"] = len((ROOT / "run_search.py").read_text().splitlines())
    assert {name: lines for name, lines in sizes.items() if lines > 260} == {}
