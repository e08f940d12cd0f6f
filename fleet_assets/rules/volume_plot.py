"""A plot of what the rules have found by day."""

from __future__ import annotations

import base64
import io
from datetime import date, timedelta
from typing import Final

import polars as pl

_COLOURS: Final = (
    "#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7",
    "#9c755f", "#bab0ac", "#2f4b7c", "#a05195",
)  # fmt: skip


def volume_plot(volume: pl.DataFrame, days: int) -> str:
    """A PNG as a data address: a bar for each day, stacked by type.

    Args:
        volume: `day`, `anomaly_type`, `episodes`; not empty.
        days: how many days are shown, up to the newest.
    """
    from matplotlib.figure import Figure

    newest = volume["day"].max()
    assert isinstance(newest, date)
    shown = [newest - timedelta(days=back) for back in reversed(range(days))]
    types = sorted(volume["anomaly_type"].unique())
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots()
    below = [0] * len(shown)
    for number, name in enumerate(types):
        of_day = dict(
            volume.filter(pl.col("anomaly_type") == name)
            .group_by("day")
            .agg(pl.col("episodes").sum())
            .iter_rows()
        )
        heights = [int(of_day.get(day, 0)) for day in shown]
        colour = _COLOURS[number % len(_COLOURS)]
        axes.bar(range(len(shown)), heights, 0.8, bottom=below, color=colour, label=name)
        below = [base + height for base, height in zip(below, heights, strict=True)]
    every = max(1, len(shown) // 10)
    marks = list(range(len(shown) - 1, -1, -every))
    axes.set_xticks(marks, [f"{shown[n]:%d %b}" for n in marks])
    axes.set_ylabel("episodes by day of onset (UTC)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=80)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
