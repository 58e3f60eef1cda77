"""The report of a results folder: sections of warnings, tables and figures, from ledgers alone."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis import beside, checks, plots_answers, plots_search, readable, settings, tables
from analysis.answers import pairs, sides
from analysis.classes import confusion, per_class
from analysis.forecasts import forecasts
from analysis.html import page, picture
from analysis.load import LoadedStudy, by_comparison
from analysis.readable import escaped, heading
from analysis.sensitivity import importance, importances, sensitivity
from tune_sentiment.durable import write_bytes, write_text
from tune_sentiment.errors import StartError
from tune_sentiment.inside import is_inside
from tune_sentiment.markdown import harmless

# Each table of one comparison, by the name that ``--table`` takes, with what it shows.
TABLES: dict[str, tuple[str, Callable[[Sequence[LoadedStudy]], pd.DataFrame]]] = {
    "comparison": ("What each method reached, and what it cost", tables.comparison),  # in halves
    "pairs": ("Every pair: difference in test accuracy, points", settings.all_pairs),
    "svm": ("The baseline", settings.svm),
    "parameters": ("What trains", settings.parameters),
    "inference": ("What using it costs", settings.inference),
    "forecast": ("What was forecast, confirmation runs included, and what it took", forecasts),
    "runtime": ("What training took, means over scored trials", settings.runtime),
    "winners": ("Winners, and the commands that train them again", settings.winners),
    "importance": ("What decides a trial's score", importance),
    "sensitivity": ("Scores by hyperparameter, at the last common evaluation", sensitivity),
    "published": ("Beside five lab reports on DistilBERT, one seed each", beside.published),
    "questions": ("What the lab reports disagree about", beside.questions),
}
HALVES = ("What each method reached", "What it cost")
GRID = "grid"
NAMES = (*TABLES, GRID)
LEGEND = (
    "Scores are points. Validation is the confirmed trial's in the search: among the best of all, "
    "so optimistic. Test is that trial retrained with seeds that the search never used, mean ± "
    "standard deviation. Intervals cross seeds and sentences; p values are Holm-corrected over "
    "all pairs. A star marks what is not shown to be worse than the best. Device-seconds are those "
    "of a CPU thread or a GPU; features are computed once for all trials, in seconds of the clock."
)


@dataclass
class Section:
    """One comparison in the report.

    Args:
        title: Dataset, model and sizes.
        warnings: What to know before believing it.
        tables: Title and table of each.
        figures: File stem, what it shows, and the picture, a png file's content.
    """

    title: str
    warnings: list[str] = field(default_factory=list)
    tables: list[tuple[str, pd.DataFrame]] = field(default_factory=list)
    figures: list[tuple[str, str, bytes]] = field(default_factory=list)


def section(studies: Sequence[LoadedStudy], number: int) -> Section:
    """Everything about one comparison."""
    made = Section(heading(studies[0]), checks.warnings(studies))
    for name, (title, table) in TABLES.items():
        found = table(studies)
        if name == "comparison":
            made.tables += zip(HALVES, halves(found), strict=True)
        elif len(found):
            made.tables.append((title, found))
    for side in sides(studies):
        if len(side.study.description["classes"]) > 2 and side.study.test_predictions is not None:
            made.tables.append((f"{side.name}, by class (test)", per_class(side.study)))
    made.figures = [
        (f"{number}-{stem}", title, picture(figure)) for stem, title, figure in _figures(studies)
    ]
    return made


def halves(table: pd.DataFrame) -> list[pd.DataFrame]:
    """The comparison as two tables that fit a screen: answers, then costs."""
    cost = ["method", *table.columns[tables.QUALITY_COLUMNS :]]
    costs = table.loc[table["method"] != tables.MAJORITY, cost]
    return [table.iloc[:, : tables.QUALITY_COLUMNS], costs]


def _figures(studies: Sequence[LoadedStudy]) -> list[tuple[str, str, Figure]]:
    compared = sides(studies)
    found = pairs(compared)
    made = []
    if found:
        made.append(("forest", "Differences", plots_answers.draw_forest(compared, found)))
    if len(plots_answers.pareto_data(compared)):
        made.append(("pareto", "Accuracy by cost", plots_answers.draw_pareto(compared)))
    able = {
        side.name: side.study
        for side in compared
        if side.study.best is not None and len(side.study.trials) > 1  # else nothing was searched
    }
    if able:
        made.append(("best-so-far", "Search", plots_search.draw_best_so_far(able)))
    for side in compared:
        study, stem = side.study, re.sub(r"[^A-Za-z0-9._-]+", "_", side.study.path.name)
        if study.test_predictions is not None:
            made.append((f"confusion-{stem}", side.name, plots_answers.draw_confusion(side)))
        if not study.is_deterministic and study.trials:
            made.append((f"curves-{stem}", side.name, plots_search.draw_curves(study)))
        if study.searched and study.trials:
            made.append((f"scatter-{stem}", side.name, plots_search.draw_scatter(study)))
        if study.searched and len(plots_search.parallel_data(study)[1]) > 1:
            made.append((f"parallel-{stem}", side.name, plots_search.draw_parallel(study)))
        if found_importance := importances(study):
            figure = plots_search.draw_importance(study, found_importance)
            made.append((f"importance-{stem}", side.name, figure))
    return made


def sections(studies: Sequence[LoadedStudy]) -> list[Section]:
    """A section for each comparison; the grid of all of them first, where there are several."""
    groups = by_comparison(studies)
    made = [section(group, number) for number, group in enumerate(groups.values(), start=1)]
    overlaps = checks.shared_between_datasets(studies)
    if len(groups) > 1:
        made.insert(
            0, Section("All comparisons", overlaps, [("Test accuracy", settings.grid(studies))])
        )
    return made


def table_markdown(table: pd.DataFrame) -> str:
    """A table as markdown, whatever its texts hold."""
    return str(escaped(table).to_markdown(index=False, disable_numparse=True))


def markdown(studies: Sequence[LoadedStudy]) -> str:
    """What the command prints of a comparison: its tables of answers and costs, and warnings."""
    halved = map(table_markdown, halves(tables.comparison(studies)))
    lines = ["\n\n".join([f"### {harmless(heading(studies[0]))}", *halved])]
    if found := checks.warnings(studies):
        lines += ["", *(f"- {harmless(warning)}" for warning in found)]
    if len(studies[0].description["classes"]) > 2:
        for side in sides(studies):
            lines += _class_tables(side.name, side.study)
    return "\n".join(lines)


def beside_each_other(studies: Sequence[LoadedStudy]) -> str:
    """What the command prints below several comparisons: all of them in one table, and the costs.

    Empty for a single one.
    """
    groups = by_comparison(studies).values()
    if len(groups) < 2:
        return ""
    costs = [
        table.assign(study=heading(group[0])) for group in groups if len(table := forecasts(group))
    ]
    found = [("Test accuracy", settings.grid(studies))]
    if costs:
        joined = pd.concat(costs).fillna(readable.NOT_MEASURED)
        columns = ["study", *(name for name in joined.columns if name != "study")]
        found.append((TABLES["forecast"][0], joined[columns]))
    return "\n\n".join(f"### {title}\n\n{table_markdown(table)}" for title, table in found)


def _class_tables(name: str, study: LoadedStudy) -> list[str]:
    runs = len(study.scored)
    if study.test_predictions is None:
        return []
    over = "1 run" if runs == 1 else f"{runs} runs"
    lines = ["", f"#### {harmless(name)}, by class (test, {over})", ""]
    for table in (per_class(study), confusion(study)):
        lines += [table_markdown(table), ""]
    return lines[:-1]


def write(studies: Sequence[LoadedStudy], gaps: Sequence[str], folder: Path) -> list[Path]:
    """Write ``report.md``, ``report.html``, ``summary.md`` and ``figures/*.png``.

    A file that is a link is replaced, what it leads to is not.

    Returns:
        The paths of the first two.

    Raises:
        StartError: If a link leads ``figures`` elsewhere.
    """
    made = sections(studies)
    if not is_inside(folder / "figures", folder.resolve()):
        raise StartError(f"{folder / 'figures'} leads out of {folder}")
    for each in made:
        for stem, _, png in each.figures:
            write_bytes(folder / "figures" / f"{stem}.png", png)
    groups = by_comparison(studies).values()
    write_text(folder / "summary.md", "\n\n".join(map(markdown, groups)) + "\n")
    write_text(folder / "report.md", _document(made, gaps))
    write_text(folder / "report.html", page(made, gaps, LEGEND))
    return [folder / "report.md", folder / "report.html"]


def _document(made: Sequence[Section], gaps: Sequence[str]) -> str:
    lines = ["# Comparison of tuning methods", "", LEGEND, ""]
    if gaps:
        lines += ["**Not in this report:**", "", *(f"- {harmless(gap)}" for gap in gaps), ""]
    for each in made:
        lines += [f"## {harmless(each.title)}", ""]
        if each.warnings:
            lines += [
                "**Before believing it:**",
                "",
                *(f"- {harmless(w)}" for w in each.warnings),
                "",
            ]
        for title, table in each.tables:
            lines += [f"### {harmless(title)}", "", table_markdown(table), ""]
        lines += [f"![{harmless(title)}](figures/{stem}.png)\n" for stem, title, _ in each.figures]
    return "\n".join(lines)
