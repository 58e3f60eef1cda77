"""The model card of a winner."""

from pathlib import Path

from tune_sentiment.durable import read_json, write_text
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.winner import LINEAR_FILE, WINNER_FILE

NEURAL_USE = """```python
from transformers import pipeline

classify = pipeline("text-classification", model="{folder}")
classify("a gorgeous, witty film")
```"""
LINEAR_USE = (
    "The folder holds the frozen encoder (`AutoModel`) and, in `{file}`, the linear map of its "
    "scaled `{pooling}` features: `coefficients`, `intercepts`, `mean`, `scale`."
)


def write_card(study: Path, table: str) -> None:
    """Write ``winner/README.md`` with the comparison, if the study has a winner's folder.

    Args:
        study: The study's folder.
        table: The comparison in markdown.
    """
    folder = StudyFolder(study)
    if not (folder.winner / WINNER_FILE).exists():
        return
    about, description = read_json(folder.winner / WINNER_FILE), read_json(folder.study_file)
    is_linear = (folder.winner / LINEAR_FILE).exists()
    pooling = about["params"].get("pooling", "")
    use = LINEAR_USE.format(file=LINEAR_FILE, pooling=pooling)
    settings = "\n".join(f"- `{name}`: {value}" for name, value in about["params"].items())
    card = f"""# {description["dataset"]}, {description["model"]}, {about["method"]}

The confirmation run with the best validation score of the study `{description["id"]}` (seed
{about["seed"]}). Classes, in order: {", ".join(about["classes"])}.

## Use

{use if is_linear else NEURAL_USE.format(folder=folder.winner.name)}

## Hyperparameters

{settings}

## Comparison

{table}
"""
    write_text(folder.winner / "README.md", card)
