"""README's lines on speed, from the same records as RESULTS.md.

What is shown was named before it was measured: of each line all peers, also those that are ahead.
"""

import json
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmarks.harness import RECORDS

README = RECORDS.parent.parent / "README.md"
BEGIN, END = "<!-- written by python -m benchmarks -->\n", "<!-- end -->\n"
SHOWN = {  # of each benchmark, how the rows begin
    "study_end_to_end": ("12 LoRA trials",),
    "study_frozen": ("32 trials each",),
    "search_efficiency": ("evaluations to the best",),
    "step_rate": ("lora on rotten_tomatoes", "full on rotten_tomatoes"),
    "frozen_sweep": ("64 configurations",),
    "trial_tax": ("overhead of one of 40 trials of 1 s",),
}
HEADERS = ("what", "beside", "its cost over ours", "interval", "rounds")
OUR = "our"  # how peers begin that are ours


def lines(records: Path = RECORDS) -> str:
    """The table, of what was measured."""
    rows = []
    for name, beginnings in SHOWN.items():
        file = records / f"{name}.json"
        found = json.loads(file.read_text())["rows"] if file.exists() else []
        rows += [_cells(row) for row in found if _is_shown(row, beginnings)]
    table = tabulate(rows, headers=HEADERS, tablefmt="github", disable_numparse=True)
    return f"{table}\n"


def _is_shown(row: dict[str, Any], beginnings: tuple[str, ...]) -> bool:
    is_beside = row.keys() & {"ratio", "missing"} and not row["peer"].startswith(OUR)
    return bool(is_beside) and row["what"].startswith(beginnings)


def _cells(row: dict[str, Any]) -> list[str]:
    if "missing" in row:
        return [row["what"], row["peer"], "-", row["missing"], ""]
    spread = f"{row['low']:.2f} to {row['high']:.2f}"
    return [row["what"], row["peer"], f"{row['ratio']:.2f}", spread, str(row["rounds"])]


def write(path: Path = README, records: Path = RECORDS) -> None:
    """Write the table between README's two marks.

    Raises:
        ValueError: If they are not there.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no place for the table")
    path.write_text(f"{before}{BEGIN}{lines(records)}{END}{after}", encoding="utf-8")
