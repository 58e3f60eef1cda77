"""How the command that looks first ends where it cannot go on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.test_explore import DEMO, call


def test_a_figure_that_cannot_be_written_is_exit_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call([*DEMO, "--figure", str(tmp_path / f"{'x' * 300}.png")], capsys)
    assert code == 3
    assert err.startswith("error: cannot write ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "demoo"], "Did you mean 'demo'? Datasets: ag_news"),
        (["--dataset", "no/such/file.csv"], "no such file"),
        (["--dataset", "demo", "--model", "minillm"], "unknown model 'minillm'"),
        ([], "the following arguments are required: --dataset"),
        ([*DEMO, "--text", "  "], "--text wants a text, got"),
        ([*DEMO, "--text", "\udc80"], "--text wants a text, got '\\udc80'"),
        ([*DEMO, "--text"], "expected one argument"),
        ([*DEMO, "--seed", "-1"], "0 <= seed < 2**31 must hold, got -1"),
        ([*DEMO, "--seed", "1", "--seed", "2"], "--seed is given twice"),
        ([*DEMO, "--max-length", "3"], "max_length >= 4 must hold, got 3"),
        ([*DEMO, "--train-samples", "1"], "train_samples >= 2 must hold, got 1"),
        ([*DEMO, "--train-samples", "801"], "train_samples <= 800 must hold, got 801"),
        ([*DEMO, "--text-column", "review"], "the columns and encoding of 'demo' are known"),
        ([*DEMO, "--encoding", "utf-9"], "Did you mean 'utf-8'?"),
        ([*DEMO, "--data-dir", "/no/such/folder"], "not a folder"),
        ([*DEMO, "--figure", "lengths.svg"], "ends in .png, got 'lengths.svg'"),
        ([*DEMO, "--figure", "no/such/lengths.png"], "no such folder"),
        ([*DEMO, "--trials", "3"], "unrecognized arguments: --trials"),
    ],
)
def test_a_wrong_value_is_one_line_and_exit_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(arguments, capsys)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_class_with_one_text_is_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        "text,label",
        "fair,so",
        *(f"number {i},{'good' if i % 2 else 'bad'}" for i in range(25)),
    ]
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.csv").write_text("\n".join(rows), encoding="utf-8")
    arguments = ["--dataset", str(tmp_path), "--model", "tiny", "--text", "a film"]
    code, out, _ = call(arguments, capsys)
    assert code == 0
    assert "nearest of 26 of 26 training texts" in out
    code, out, err = call([*arguments, "--train-samples", "10"], capsys)
    assert (code, out) == (2, "")
    assert "no stratified subset of 10 of 26" in err


def test_a_model_that_is_neither_here_nor_on_the_hub_is_exit_3(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = call(["--dataset", "demo"], capsys)
    assert (code, out) == (3, "")
    assert "--model minilm" in err


def test_it_never_loads_ray_and_a_reader_may_leave_early() -> None:
    script = (
        "import sys\n"
        "from tune_sentiment.explore import main\n"
        f"code = main({[*DEMO, '--text', 'a film']!r})\n"
        "print(code, 'ray' in sys.modules, file=sys.stderr)"
    )
    for reader, code in (("cat", "0"), ("head -n 1", "141")):
        done = subprocess.run(
            ["bash", "-c", f'"{sys.executable}" -c "$SCRIPT" | {reader}'],
            env={**os.environ, "SCRIPT": script},
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert done.stderr.splitlines()[-1].split() == [code, "False"]
        assert "Traceback" not in done.stderr
        assert done.stdout.startswith("demo (splits: as given)\n")
