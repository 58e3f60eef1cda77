"""The report as one page that needs no network: pictures inside, light and dark."""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from analysis.report import Section

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60646c; --paper: #fcfcfd;
  --line: #d9dbe0; --warn: #fff4d6; --mark: #e8f3ee; }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --soft: #a8adb5; --paper: #16181b;
  --line: #363a3f; --warn: #3a3015; --mark: #17332a; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1180px; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; } h2 { margin-top: 2.6rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.8rem 0 .5rem; }
p.legend { color: var(--soft); max-width: 75ch; }
ul.warnings { background: var(--warn); border-radius: 6px; padding: .7rem 1rem .7rem 2rem; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem; }
th, td { text-align: left; padding: .3rem .7rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; } tr:hover td { background: var(--mark); }
td { max-width: 34rem; overflow-wrap: anywhere; }
div.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr));
  gap: 1rem; margin-top: 1.5rem; }
figure { margin: 0; background: white; border: 1px solid var(--line); border-radius: 6px;
  padding: .5rem; } figure img { width: 100%; height: auto; }
"""
HEAD = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    "<title>Comparison of tuning methods</title>"
)


def page(sections: "Sequence[Section]", gaps: Sequence[str], legend: str) -> str:
    """The whole page; everything from a ledger is escaped."""
    parts = [HEAD, f"<style>{STYLE}</style></head><body><h1>Comparison of tuning methods</h1>"]
    parts.append(f'<p class="legend">{escape(legend)}</p>')
    if gaps:
        parts += ["<h3>Not in this report</h3>", _list(gaps)]
    for section in sections:
        parts.append(f"<h2>{escape(section.title)}</h2>")
        if section.warnings:
            parts += ["<h3>Before believing it</h3>", _list(section.warnings)]
        for title, table in section.tables:
            parts += [f"<h3>{escape(title)}</h3>", _table(table)]
        parts.append('<div class="figures">')
        parts += [_picture(title, png) for _, title, png in section.figures]
        parts.append("</div>")
    return "\n".join([*parts, "</body></html>"])


def _list(items: Sequence[str]) -> str:
    rows = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f'<ul class="warnings">{rows}</ul>'


def _table(table: pd.DataFrame) -> str:
    return f'<div class="wide">{table.to_html(index=False, border=0, escape=True)}</div>'


def picture(figure: Figure) -> bytes:
    """The figure as a png file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _picture(title: str, png: bytes) -> str:
    data = base64.b64encode(png).decode()
    return f'<figure><img alt="{escape(title)}" src="data:image/png;base64,{data}"></figure>'
