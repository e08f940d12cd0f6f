"""Pictures of answers to analysts' questions: files, and the figures that they show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from fleet_assets.questions import Plot, Question

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final = (
    "#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#9c755f",
)  # fmt: skip

FEW_POINTS: Final = 40
"""Lines of more have no markers."""


def save_plot(asked: Question, rows: pl.DataFrame, path: Path) -> None:
    """Draws an answer into a file; of the same answer an SVG is the same, byte for byte.

    Args:
        asked: the question.
        rows: its answer; may be empty.
        path: `.png` or `.svg`.
    """
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": asked.name}):
        stamps = {"Date": None} if path.suffix == ".svg" else None
        plotted(asked, rows).savefig(path, dpi=100, metadata=stamps)
    if path.suffix == ".svg":
        path.write_text(_lean(path.read_text()))


def _lean(svg: str) -> str:
    """Less than a pixel's hundredth is not seen (labels stay), and one font is enough."""
    svg = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), svg)
    svg = re.sub(
        r"font-family: 'DejaVu Sans',[^;\"]*", "font-family: 'DejaVu Sans', sans-serif", svg
    )
    return "".join(f"{line.rstrip()}\n" for line in svg.splitlines())


def plotted(asked: Question, rows: pl.DataFrame) -> Figure:
    """A figure of the answer.

    Args:
        asked: the question.
        rows: its answer; may be empty.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes: Axes = figure.subplots()
    plot = asked.plot
    rows = rows.drop_nulls([plot.across, plot.up])
    if rows.is_empty():
        axes.text(0.5, 0.5, "nothing yet", ha="center", va="center", color="#777")
        axes.set_axis_off()
    else:
        _drawn(axes, plot, rows)
    axes.set_title(asked.title, fontsize=10, loc="left")
    return figure


def _drawn(axes: Axes, plot: Plot, rows: pl.DataFrame) -> None:
    parts = rows.partition_by(plot.by, maintain_order=True) if plot.by else [rows]
    names = rows[plot.across].unique(maintain_order=True).to_list()
    width = 0.8 / len(parts)
    kind = "bar" if plot.kind == "line" and len(names) == 1 else plot.kind  # no line of one point
    for number, part in enumerate(parts):
        colour = COLOURS[number % len(COLOURS)]
        label = str(part[plot.by][0]) if plot.by else None
        up = part[plot.up].cast(pl.Float64).to_list()
        at = [
            names.index(name) + width * (number - (len(parts) - 1) / 2)
            for name in part[plot.across]
        ]
        if kind == "line":
            marker = "." if rows.height <= FEW_POINTS else None
            axes.plot(part[plot.across].to_list(), up, color=colour, label=label, marker=marker)
        elif kind == "points":
            axes.plot(part[plot.across].to_list(), up, ".", color=colour, label=label)
        elif kind == "barh":
            axes.barh(at, up, width, color=colour, label=label)
        else:
            axes.bar(at, up, width, color=colour, label=label)
    if rows[plot.up].cast(pl.Float64).min() >= 0 and plot.kind != "barh":  # type: ignore[operator]
        axes.set_ylim(bottom=0)
    unit = plot.up.replace("_", " ")
    if kind == "barh":
        axes.set_yticks(range(len(names)), [str(name) for name in names], fontsize=8)
        axes.invert_yaxis()
        axes.set_xlabel(unit)
    else:
        axes.set_ylabel(unit)
        if kind == "bar":
            axes.set_xticks(range(len(names)), [str(name) for name in names])
        else:
            axes.tick_params(axis="x", labelrotation=20, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    if plot.by:
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
