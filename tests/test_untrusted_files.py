"""Models, winners and words of others: no code of theirs runs, and what they wrote stays text."""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from analysis.__main__ import main as analyse
from tests.canary import pickled
from tests.conftest import BAD, GOOD
from tests.ledgers import trial, write
from tests.test_predict import made_winner
from tune_sentiment.backbone import Backbone, load_backbone
from tune_sentiment.card import write_card
from tune_sentiment.errors import UsageError
from tune_sentiment.markdown import fenced, harmless
from tune_sentiment.predict import main as predict
from tune_sentiment.predictor import load_winner
from tune_sentiment.tokens import Tokens

CODE = "from pathlib import Path\nPath({!r}).touch()\nclass Model: ...\nclass Tokenizer: ...\n"
SCRIPT = "<script>a()</script>"
PICTURE = "![p](http://x/y)[l][r]`"
MANY = [trial(i, 0.6 + 0.02 * i, params={"lr": 1e-5, "rank": 4}) for i in range(6)]


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.fixture
def model(tiny: Backbone, tmp_path: Path, canary: Path) -> Path:
    """A model's folder with code in it that nothing should run."""
    folder = Path(shutil.copytree(tiny.folder, tmp_path / "model"))
    (folder / "evil.py").write_text(CODE.format(str(canary)))
    return folder


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("config.json", {"auto_map": {"AutoConfig": "evil.Model", "AutoModel": "evil.Model"}}),
        ("config.json", {"auto_map": {}, "model_type": "evil"}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}}),
        ("config.json", {"attn_implementation": "someone/attention"}),
        ("config.json", {"_attn_implementation": {"": "someone/attention@main"}}),
    ],
)
def test_a_model_that_names_code_is_refused_and_the_code_not_run(
    file: str, values: dict[str, Any], model: Path, canary: Path
) -> None:
    change(model / file, **values)
    with pytest.raises(UsageError, match="needs code of its own, which is never run"):
        load_backbone(str(model))
    assert not canary.exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("text", ["[1]", "{", "null"])
def test_a_model_whose_description_is_no_object_is_refused(
    file: str, text: str, model: Path
) -> None:
    (model / file).write_text(text)
    with pytest.raises(UsageError, match=r"no (readable|object)"):
        load_backbone(str(model))


def test_pickles_beside_the_weights_are_not_opened(
    model: Path, canary: Path, tiny: Backbone
) -> None:
    names = ("pytorch_model.bin", "adapter_model.bin", "vocab.pkl", "tokenizer.pkl", "vocab.bin")
    for name in (*names, "training_args.bin", "tokenizer.model"):
        (model / name).write_bytes(pickled(canary))
    about = {"peft_type": "LORA", "base_model_name_or_path": str(model), "r": 4}
    (model / "adapter_config.json").write_text(json.dumps({**about, "target_modules": ["q_lin"]}))
    change(model / "tokenizer_config.json", tokenizer_class="TransfoXLTokenizer")
    found = load_backbone(str(model))
    made, expected = (b.classifier(("a", "b")).state_dict() for b in (found, tiny))
    assert set(made) == set(expected)
    encoder = [name for name in made if name.startswith("distilbert.")]
    assert encoder
    assert all(torch.equal(made[name], expected[name]) for name in encoder)
    assert found.tokenizer()(GOOD[0])["input_ids"] == tiny.tokenizer()(GOOD[0])["input_ids"]
    assert not canary.exists()


@pytest.fixture(scope="module")
def winners(
    tmp_path_factory: pytest.TempPathFactory, tiny: Backbone, eight: Tokens
) -> dict[str, Path]:
    """A winner that plain transformers loads, and one that it cannot load."""
    made = {method: tmp_path_factory.mktemp(method) for method in ("full", "adapters")}
    for method, study in made.items():
        made_winner(method, tiny, eight, study)
    return {method: study / "winner" for method, study in made.items()}


def pickles_beside(folder: Path, canary: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(pickled(canary))
    (folder / "adapter_model.bin").write_bytes(pickled(canary))
    about = {"peft_type": "LORA", "base_model_name_or_path": str(folder), "r": 4}
    about |= {"target_modules": ["q_lin"], "task_type": "SEQ_CLS"}
    (folder / "adapter_config.json").write_text(json.dumps(about))


def index_of_a_pickle(folder: Path, canary: Path) -> None:
    """Weights under another name, and an index that says that they are in a pickle."""
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    (folder / "weights.bin").write_bytes(pickled(canary))
    with safe_open(folder / "other.safetensors", "pt") as file:
        names = dict.fromkeys(file.keys(), "weights.bin")
    index = {"metadata": {"total_size": 1}, "weight_map": names}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("harm", [pickles_beside, index_of_a_pickle])
def test_a_winner_says_the_same_whatever_pickles_are_put_beside_it(
    harm: Any, winners: dict[str, Path], tmp_path: Path, canary: Path
) -> None:
    folder = Path(shutil.copytree(winners["full"], tmp_path / "winner"))
    expected = load_winner(folder).scores([*GOOD, *BAD])
    harm(folder, canary)
    assert (load_winner(folder).scores([*GOOD, *BAD]) == expected).all()
    assert not canary.exists()


@pytest.mark.parametrize(
    ("method", "file"),
    [
        ("full", "model.safetensors"),
        ("adapters", "trained.safetensors"),
        ("adapters", "encoder/model.safetensors"),
    ],
)
def test_a_winner_whose_weights_are_a_pickle_is_refused(
    method: str,
    file: str,
    winners: dict[str, Path],
    tmp_path: Path,
    canary: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = Path(shutil.copytree(winners[method], tmp_path / "winner"))
    (folder / file).write_bytes(pickled(canary))
    assert predict([str(folder), "a film"]) == 2
    said = capsys.readouterr().err
    assert "cannot be read" in said
    assert said.count("\n") == 1
    (folder / file).rename((folder / file).with_name("pytorch_model.bin"))
    assert predict([str(folder), "a film"]) == 2
    assert not canary.exists()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (SCRIPT, "&lt;script&gt;a()&lt;/script&gt;"),
        ("[a](http://x)", "[a]\\(http://x)"),
        ("![a](http://x)", "![a]\\(http://x)"),
        ("[a][b]", "[a]\\[b]"),
        ("[a]: http://x", "[a]\\: http://x"),
        ("one\n# two\n| three", "one # two \\| three"),
        ("-3.7 [-6.0, -1.3]", "-3.7 [-6.0, -1.3]"),
    ],
)
def test_nothing_that_people_wrote_is_markdown(text: str, written: str) -> None:
    assert harmless(text) == written


def test_nothing_ends_a_block_of_code() -> None:
    assert fenced("run it") == "```\nrun it\n```"
    assert fenced("a\n```\n<b>") == "````\na\n```\n<b>\n````"


def test_the_report_makes_no_link_and_no_picture_of_what_people_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for comparison, words in (("c", f"{SCRIPT}{PICTURE}"), ("d", f"={PICTURE}")):
        about = {"dataset": words, "model": words, "classes": ["a", words, "c"]}
        about["comparison"] = comparison
        write(tmp_path, "svm", [trial(0, 0.7)], [0.7], name=f"s{comparison}", **about)
        write(tmp_path, "lora", MANY, [0.8, 0.8], name=f"l{comparison}", **about)
    (tmp_path / "sc" / f"{PICTURE.replace('/', '_')}").write_text("a stranger")
    assert analyse([str(tmp_path)]) == 0
    assert "<script" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    for name in ("report.md", "summary.md"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        ours = re.findall(r"!\[[^]]*\]\(figures/[\w.-]+\)", text)
        assert "<script" not in text
        assert len(re.findall(r"\]\(|\]\[|\]:", text)) == len(ours), name
    capsys.readouterr()
    assert analyse([str(tmp_path), "--table", "pairs", "--format", "csv"]) == 0
    cells = [cell for row in csv.reader(capsys.readouterr().out.splitlines()) for cell in row]
    assert any(cell.startswith("'=!") for cell in cells)
    assert not any(cell.startswith("=") for cell in cells)


def test_a_card_keeps_names_and_commands_text(winners: dict[str, Path], tmp_path: Path) -> None:
    words = f"{SCRIPT}{PICTURE}"
    study = write(tmp_path, "full", MANY, [0.8], dataset=words, model=words).path
    shutil.copytree(winners["full"], study / "winner")
    change(study / "winner" / "winner.json", classes=[words, "b"], params={"targets": words})
    write_card(study, "the table", f"run '{SCRIPT}\n```\n{SCRIPT}'")
    card = (study / "winner" / "README.md").read_text(encoding="utf-8")
    outside = re.sub(r"(?ms)^(`{3,})[a-z]*\n.*?^\1$", "", card)
    assert "the table" in outside
    assert "<script" not in outside
    assert not re.search(r"\]\(|\]\[", outside)
