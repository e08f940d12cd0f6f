"""A backtest as a page that can be sent around: tables and plots, no other files needed."""

from __future__ import annotations

import base64
import html
import io
from typing import Final

import polars as pl
from matplotlib.figure import Figure

from fleet_assets.rules.backtest import Report

_BEFORE, _AFTER, _ADDED, _REMOVED = "#7a8793", "#1f6feb", "#1a7f37", "#cf222e"
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 62em; color: #1f2328 }
table { border-collapse: collapse; margin: 1em 0 }
th, td { padding: .3em .8em; border-bottom: 1px solid #d8dee4; text-align: right }
th:first-child, td:first-child { text-align: left } th { color: #57606a; font-weight: 600 }
img { max-width: 100% }
"""


def page(told: Report, first_hour: str, last_hour: str, backtest_id: str | None = None) -> str:
    """The report as HTML."""
    name = f" Backtest {html.escape(backtest_id)}." if backtest_id else ""
    parts = [
        "<!doctype html><meta charset='utf-8'><title>Backtest of rules</title>",
        f"<style>{_STYLE}</style><h1>Backtest of rules</h1>",
        f"<p>{html.escape(first_hour)} to {html.escape(last_hour)} (UTC),"
        f" {told.vehicle_days:,.1f} vehicle-days; {told.changes:,} findings differ.{name}</p>",
        _image(_types(told.by_type)),
        "<h2>By day of onset</h2>",
        _image(_days(told.by_day)),
    ]
    for title, frame in told.tables:
        parts += [f"<h2>{title}</h2>", _table(frame)]
    return "\n".join(parts)


def _types(by_type: pl.DataFrame) -> Figure:
    shown = by_type.sort("anomaly_type", descending=True)
    figure = Figure(figsize=(10, 0.5 * max(shown.height, 2) + 1.2), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    names = shown["anomaly_type"].to_list()
    at = list(range(len(names)))
    axes[0].barh([y + 0.2 for y in at], shown["in_force"], 0.4, color=_BEFORE, label="in force")
    axes[0].barh([y - 0.2 for y in at], shown["proposed"], 0.4, color=_AFTER, label="proposed")
    axes[0].set_yticks(at, names)
    axes[0].set_title("findings")
    axes[0].legend(frameon=False)
    axes[1].barh(at, shown["added"], color=_ADDED, label="added")
    axes[1].barh(at, [-n for n in shown["removed"]], color=_REMOVED, label="removed")
    axes[1].axvline(0, color="black", linewidth=0.8)
    axes[1].set_title("added and removed")
    axes[1].legend(frameon=False)
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure


def _days(by_day: pl.DataFrame) -> Figure:
    figure = Figure(figsize=(10, 3), layout="constrained")
    axes = figure.subplots()
    at = list(range(by_day.height))
    axes.bar([x - 0.2 for x in at], by_day["in_force"], 0.4, color=_BEFORE, label="in force")
    axes.bar([x + 0.2 for x in at], by_day["proposed"], 0.4, color=_AFTER, label="proposed")
    every = max(1, by_day.height // 15)
    axes.set_xticks(at[::every], [str(day) for day in by_day["day"][::every]], rotation=30)
    axes.set_ylabel("findings")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def _image(figure: Figure) -> str:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110)
    return f"<img src='data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}'>"


def _table(frame: pl.DataFrame) -> str:
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in frame.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row) + "</tr>"
        for row in frame.iter_rows()
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int | float) else str(value)
