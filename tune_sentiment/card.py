"""The model card of a winner."""

from pathlib import Path

from tune_sentiment.durable import read_json, write_text
from tune_sentiment.ledger import WINNER_FILE, StudyFolder
from tune_sentiment.markdown import fenced, harmless
from tune_sentiment.methods import METHODS

PLAIN_USE = """```python
from transformers import pipeline

classify = pipeline("text-classification", model="winner")
classify("a gorgeous, witty film")
```"""
OWN_USE = """```python
from pathlib import Path
from tune_sentiment.predictor import load_winner

classify = load_winner(Path("winner"))
classify(["a gorgeous, witty film"])
```
Plain transformers cannot load this method: the frozen encoder is in `encoder/`, what trained in
`trained.safetensors`."""


def write_card(study: Path, table: str, command: str) -> None:
    """Write ``winner/README.md`` with the comparison, if the study has a winner's folder.

    Args:
        study: The study's folder.
        table: The comparison in markdown.
        command: What trains this configuration again.
    """
    folder = StudyFolder(study)
    if not (folder.winner / WINNER_FILE).exists():
        return
    about, description = read_json(folder.winner / WINNER_FILE), read_json(folder.study_file)
    use = PLAIN_USE if METHODS[about["method"]].is_plain else OWN_USE
    settings = "\n".join(
        f"- `{name}`: {harmless(str(value))}" for name, value in about["params"].items()
    )
    library = "\nlibrary_name: transformers" if METHODS[about["method"]].is_plain else ""
    card = f"""---
pipeline_tag: text-classification{library}
tags:
- tune_sentiment
- {about["method"]}
---
# {harmless(description["dataset"])}, {harmless(description["model"])}, {about["method"]}

The confirmation run with the best validation score of the study `{description["id"]}` (seed
{about["seed"]}). Classes, in order: {", ".join(map(harmless, about["classes"]))}.

## Use

From the study's folder:

{use}

## Hyperparameters

{settings}

With fresh seeds again:
{fenced(command)}

## Comparison

{table}
"""
    write_text(folder.winner / "README.md", card)
