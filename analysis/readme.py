"""``python -m analysis.readme README SUMMARY``: put a report's summary into the README."""

import sys
from pathlib import Path

BEGIN = "<!-- example report: begin (make report writes this) -->"
END = "<!-- example report: end -->"


def with_summary(readme: str, summary: str) -> str:
    """The README with the summary between its marks.

    Raises:
        ValueError: If a mark is missing.
    """
    before, _, rest = readme.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the README has no '{BEGIN}' with '{END}' after it")
    return f"{before}{BEGIN}\n{summary.strip()}\n{END}{after}"


def main() -> None:
    """Rewrite the README in place."""
    readme, summary = (Path(argument) for argument in sys.argv[1:3])
    text = with_summary(readme.read_text(encoding="utf-8"), summary.read_text(encoding="utf-8"))
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
