"""Figures of how a study searched: each a pure function to its numbers and one that draws them."""

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.contents import evaluations_of
from analysis.load import LoadedStudy
from analysis.stats import expected_best
from tune_sentiment.records import SCORED_STATUSES

COLOURS = {
    "finished": "#1b7f5c",
    "pruned": "#c98500",
    "diverged": "#b3261e",
    "oom": "#7a3db8",
    "failed": "#5f6368",
}
MARKS = {"diverged": "x", "oom": "s", "failed": "+"}  # those without a score stand on the floor
WIDTH = 7.0  # inches of a figure
LINE = 0.2  # inches of a line of text
NAME_WIDTH = 40  # characters of a study's name on a line
BESIDE = 6  # short names on a line of a legend


@dataclass(frozen=True)
class Curve:
    """One trial's validation scores.

    Args:
        number: The trial's.
        status: How it ended, or ``open``.
        evaluations: Counted from 1.
        values: The searched metric at each.
    """

    number: int
    status: str
    evaluations: list[int]
    values: list[float]


def curves_data(study: LoadedStudy) -> list[Curve]:
    """The searched metric of every trial at each of its evaluations."""
    lines = evaluations_of(study)
    found = []
    for trial in study.trials:
        rows = [r for r in lines.get(str(trial["key"]), []) if r.get(study.metric) is not None]
        if rows:
            numbers = [int(row["evaluation"]) for row in rows]
            values = [float(row[study.metric]) for row in rows]
            found.append(Curve(trial["number"], trial["status"], numbers, values))
    return found


def draw_curves(study: LoadedStudy) -> Figure:
    """Learning curves; pruned trials end early."""
    figure, axes = new_figure(f"{study.method}: learning curves")
    curves = curves_data(study)
    for status in sorted({curve.status for curve in curves}):
        mine = [curve for curve in curves if curve.status == status]
        lines = [list(zip(curve.evaluations, curve.values, strict=True)) for curve in mine]
        axes.add_collection(LineCollection(lines, colors=COLOURS[status], lw=1, alpha=0.8))
        x, y = zip(*(point for line in lines for point in line), strict=True)
        axes.scatter(x, y, color=COLOURS[status], s=9)
    _status_legend(axes, {curve.status for curve in curves})
    axes.set(xlabel="evaluation", ylabel=study.metric)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def best_so_far_data(study: LoadedStudy) -> pd.DataFrame:
    """``seconds`` of training and evaluation spent, and the ``best`` score known then."""
    trials = sorted(study.trials, key=lambda trial: str(trial["ended_at"]))
    spent, best, rows = 0.0, None, []
    pick = max if study.description["mode"] == "max" else min
    for trial in trials:
        spent += (trial["train_seconds"] or 0.0) + (trial["eval_seconds"] or 0.0)
        score = trial[study.metric]
        if score is not None and trial["status"] in SCORED_STATUSES:
            best = score if best is None else pick(best, score)
        if best is not None:
            rows.append({"seconds": spent, "best": best})
    return pd.DataFrame(rows, columns=["seconds", "best"])


def expected_best_data(study: LoadedStudy) -> list[float]:
    """Expected best score of 1, 2, … of the study's scored trials, in any order."""
    scored = [t for t in study.trials if t["status"] in SCORED_STATUSES]
    scores = [t[study.metric] for t in scored if t[study.metric] is not None]
    return expected_best(scores, str(study.description["mode"]))


def draw_best_so_far(studies: Mapping[str, LoadedStudy]) -> Figure:
    """The best validation score against what was spent, and what so many trials may expect.

    Args:
        studies: By the name that tables give them.
    """
    figure = Figure(figsize=(WIDTH * 1.3, 3.6), layout="constrained")
    spent, budget = figure.subplots(1, 2, sharey=True)
    for name, study in studies.items():
        data, expected = best_so_far_data(study), expected_best_data(study)
        spent.step(data["seconds"].clip(lower=0.01), data["best"], where="post", label=name)
        budget.plot(range(1, len(expected) + 1), expected)
    metric = next(iter(studies.values())).metric
    spent.set(xscale="log", xlabel="training and evaluation, seconds", ylabel=metric)
    spent.set_title("best so far", fontsize=11)
    budget.set(xlabel="trials")
    budget.set_title("expected best of so many trials", fontsize=11)
    budget.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (spent, budget):
        axes.spines[["top", "right"]].set_visible(False)
    legend_below(figure)
    return figure


def scatter_data(study: LoadedStudy) -> pd.DataFrame:
    """A row for each trial: its searched hyperparameters, ``score`` (or null) and ``status``."""
    names = list(study.searched)
    rows = [
        {**{name: trial.get(name) for name in names}, "score": trial[study.metric]}
        | {"status": trial["status"]}
        for trial in study.trials
    ]
    return pd.DataFrame(rows, columns=[*names, "score", "status"])


def draw_scatter(study: LoadedStudy) -> Figure:
    """The score against each hyperparameter; trials without a score are marked on the floor."""
    data, domains = scatter_data(study), study.searched
    columns = min(3, max(1, len(domains)))
    rows = max(1, -(-len(domains) // columns))
    figure = Figure(figsize=(WIDTH * 1.3, 2.4 * rows), layout="constrained")
    figure.suptitle(f"{study.method}: score by hyperparameter", fontsize=11)
    known = data["score"].dropna()
    floor = known.min() - 0.02 if len(known) else 0.0
    for place, (name, domain) in enumerate(domains.items(), start=1):
        axes = figure.add_subplot(rows, columns, place)
        is_word = any(isinstance(value, str) for value in data[name])
        for status, part in data.groupby("status"):
            scores = part["score"].fillna(floor)
            values = part[name].map(str) if is_word else part[name]
            mark = MARKS.get(str(status), "o")
            axes.scatter(values, scores, color=COLOURS[str(status)], marker=mark, s=18)
        axes.set_xlabel(name)
        if getattr(domain, "log", False):
            axes.set_xscale("log")
    if figure.axes:
        figure.axes[0].set_ylabel(study.metric)
        _status_legend(figure.axes[-1], set(data["status"]))
    return figure


def parallel_data(study: LoadedStudy) -> tuple[list[str], list[tuple[list[float], float]]]:
    """Names of the axes, and for each scored trial its places in ``[0, 1]`` and its score."""
    data, domains = scatter_data(study).dropna(subset=["score"]), study.searched
    places = {name: _places(data[name], domains[name]) for name in domains}
    rows = [
        ([places[name][i] for name in domains], float(score))
        for i, score in enumerate(data["score"])
    ]
    return list(domains), rows


def _places(column: Any, domain: Any) -> list[float]:
    """Where each value lies between the ends of what was searched, on the domain's own scale."""
    choices = getattr(domain, "choices", None)
    if choices is not None:
        return [list(choices).index(value) / max(1, len(choices) - 1) for value in column]
    scale = np.log if domain.log else np.asarray
    low, high = float(scale(domain.low)), float(scale(domain.high))
    return [(float(scale(value)) - low) / ((high - low) or 1.0) for value in column]


def draw_parallel(study: LoadedStudy) -> Figure:
    """Every scored trial as a line across its hyperparameters, the better the darker."""
    names, rows = parallel_data(study)
    figure, axes = new_figure(f"{study.method}: configurations, better ones darker")
    sign = 1 if study.description["mode"] == "max" else -1
    ordered = sorted(rows, key=lambda row: sign * row[1])
    lines = [list(enumerate(places)) for places, _ in ordered]
    shares = np.arange(1, len(ordered) + 1) / max(1, len(ordered))
    colours = [(0.10, 0.31, 0.55, 0.08 + 0.9 * share**3) for share in shares]
    axes.add_collection(LineCollection(lines, colors=colours, lw=1.2))
    axes.autoscale_view()
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    axes.set_yticks([0, 1], ["low", "high"])
    return figure


def draw_importance(study: LoadedStudy, found: Mapping[str, float]) -> Figure:
    """Bars of each hyperparameter's importance."""
    figure, axes = new_figure(f"{study.method}: importance of hyperparameters (PED-ANOVA)")
    axes.barh(list(found)[::-1], [100 * share for share in list(found.values())[::-1]])
    axes.set(xlabel="percent")
    return figure


def plain(text: object) -> str:
    """A text that matplotlib does not take for a formula."""
    return str(text).replace("$", r"\$")


def wrapped(text: object, width: int) -> str:
    """A text for a figure on lines of about so many characters."""
    return fill(plain(text), width, break_long_words=False)


def legend_below(figure: Figure) -> None:
    """Name what the first axes show, below all of them; the figure grows by as much."""
    handles, names = figure.axes[0].get_legend_handles_labels()
    if not names:
        return
    written = [wrapped(name, NAME_WIDTH) for name in names]
    columns = min(len(names), BESIDE if max(map(len, names)) < NAME_WIDTH / 2 else 2)
    lines = sum(name.count("\n") + 1 for name in written) / columns
    figure.set_figheight(figure.get_figheight() + LINE * lines)
    figure.legend(
        handles, written, loc="outside lower center", ncols=columns, fontsize=9, frameon=False
    )


def new_figure(title: str) -> tuple[Figure, Axes]:
    """A figure with one plain pair of axes."""
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _status_legend(axes: Axes, statuses: set[str]) -> None:
    for status in sorted(statuses):
        mark = MARKS.get(status, "o")
        axes.plot([], [], color=COLOURS[status], marker=mark, ls="", label=status)
    if statuses:
        axes.legend(frameon=False, fontsize=8)
