"""Figures of what a comparison answers: each a pure function to its numbers and one that draws."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.answers import Pair, Side, baseline_of, between
from analysis.classes import confusion
from analysis.plots_search import (
    LINE,
    NAME_WIDTH,
    WIDTH,
    legend_below,
    new_figure,
    plain,
    wrapped,
)
from tune_sentiment.methods import BASELINE


def pareto_data(compared: Sequence[Side]) -> pd.DataFrame:
    """``name``, ``accuracy`` with its interval, ``parameters``, ``seconds`` of one training.

    ``best_for_parameters`` and ``best_for_seconds`` tell whether no other study is at least as
    accurate for less.
    """
    rows = []
    for side in compared:
        winner, found = side.study.winner, side.accuracy
        took = side.spread("train_seconds")
        if winner is None or found is None or took is None or not winner["num_trainable_params"]:
            continue
        rows.append(
            {
                "name": side.name,
                "accuracy": found.value,
                "low": found.low,
                "high": found.high,
                "parameters": winner["num_trainable_params"],
                "seconds": took.mean,
            }
        )
    table = pd.DataFrame(rows)
    for cost in ("parameters", "seconds"):
        if rows:
            table[f"best_for_{cost}"] = [
                not any(
                    other["accuracy"] >= row["accuracy"] and other[cost] < row[cost]
                    for other in rows
                )
                for row in rows
            ]
    return table


def draw_pareto(compared: Sequence[Side]) -> Figure:
    """Test accuracy against trainable parameters and against training time."""
    data = pareto_data(compared)
    figure = Figure(figsize=(WIDTH * 1.2, 3.6), layout="constrained")
    figure.suptitle("test accuracy by cost; filled where nothing is better for less", fontsize=11)
    labels = {"parameters": "trainable parameters", "seconds": "seconds of one training"}
    for place, (cost, label) in enumerate(labels.items(), start=1):
        axes = figure.add_subplot(1, 2, place)
        for number, row in enumerate(data.to_dict("records")):
            x, y = max(row[cost], 0.01), 100 * row["accuracy"]
            errors = [[y - 100 * row["low"]], [100 * row["high"] - y]]
            color = f"C{number}"
            face = color if row[f"best_for_{cost}"] else "white"
            shown: dict[str, Any] = {"color": color, "mfc": face, "label": row["name"]}
            mark = "osD^v"[number // 10 % 5]  # ten colours, then another mark
            axes.errorbar(x, y, yerr=errors, fmt=mark, capsize=3, lw=1, **shown)
        axes.set(xscale="log", xlabel=label)
        axes.margins(x=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("test accuracy, points")
    legend_below(figure)
    return figure


def forest_data(compared: Sequence[Side], found: Sequence[Pair]) -> pd.DataFrame:
    """``name``, ``difference`` to the baseline in points, ``low`` and ``high``."""
    baseline = baseline_of(compared)
    rows = []
    for side in compared:
        pair = between(found, side, baseline) if baseline not in (None, side) else None
        if pair is not None:
            e = pair.estimate
            values = {"difference": 100 * e.value, "low": 100 * e.low, "high": 100 * e.high}
            rows.append({"name": side.name, **values})
    return pd.DataFrame(rows, columns=["name", "difference", "low", "high"])


def draw_forest(compared: Sequence[Side], found: Sequence[Pair]) -> Figure:
    """Differences to the baseline with their 95 % intervals."""
    data = forest_data(compared, found)
    figure, axes = new_figure(f"test accuracy minus {BASELINE}, points, 95 % interval")
    names = [wrapped(name, NAME_WIDTH) for name in data["name"]]
    lines = sum(max(2, name.count("\n") + 1) for name in names)
    figure.set_figheight(max(3.6, 1.2 + LINE * lines))
    for place, row in enumerate(data.to_dict("records")):
        middle = row["difference"]
        errors = [[middle - row["low"]], [row["high"] - middle]]
        axes.errorbar(middle, place, xerr=errors, fmt="o", color="#1a4f8b", capsize=4)
    axes.axvline(0, color="#5f6368", lw=1, ls="--")
    axes.set_yticks(range(len(data)), names, fontsize=9)
    axes.set_ylim(-0.5, len(data) - 0.5)
    axes.invert_yaxis()
    return figure


def draw_confusion(side: Side) -> Figure:
    """How many test texts of each true class were given each class, over all runs."""
    table = confusion(side.study)
    counts = table.drop(columns="true class").to_numpy(dtype=float)
    names = [plain(name) for name in table["true class"]]
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    size = max(3.2, 0.6 * len(names) + 2)
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.add_subplot()
    seeds = len(side.study.scored)
    runs = f", {seeds} seeds together" if seeds > 1 else ""
    axes.set_title(wrapped(f"{side.name}: confusion on test{runs}", 44), fontsize=11)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            colour = "white" if shares[i, j] > 0.5 else "black"
            axes.text(j, i, f"{count:.0f}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="said", ylabel="true")
    return figure
