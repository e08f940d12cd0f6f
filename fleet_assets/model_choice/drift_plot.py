"""A picture of drift: how large each movement is, and how vehicles lie where it is largest."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.model_choice.drift import DriftReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_THEN, _NOW, _NEW = "#9c9c9c", "#4e79a7", "#f28e2b"
_COLOURS: Final = {"known": _NOW, "new": _NEW}
_SHOWN, _CLOSE_UP = 16, 4


def drift_plot(report: DriftReport) -> str:
    """`drift_figure` as a PNG, as a data address."""
    out = io.BytesIO()
    drift_figure(report).savefig(out, format="png", dpi=80)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def drift_figure(report: DriftReport) -> Figure:
    """Left the largest effects, filled where they alarm; right the vehicles behind the first four.

    Lines on the right are shares of vehicles below a value, the season's part taken away.
    """
    tested = report.rows.drop_nulls("p")
    largest = tested.sort(
        "alarm", pl.col("effect").abs(), descending=True, maintain_order=True
    ).head(_SHOWN)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 5.4), layout="constrained")
    left, right = np.asarray(figure.subfigures(1, 2, width_ratios=(1.05, 1)))
    _effects(left.subplots(), largest, report.numbers.least_effect)
    panels = right.subplots(2, 2).flatten()
    for axes, row in zip(panels, largest.head(_CLOSE_UP).iter_rows(named=True), strict=False):
        _vehicles(axes, row, report.vehicles)
    for axes in panels[largest.height :]:
        axes.set_axis_off()
    figure.suptitle(_title(report, tested), fontsize=11, x=0.01, ha="left")
    return figure


def _effects(axes: Axes, rows: pl.DataFrame, least: float) -> None:
    places = range(rows.height)
    for place, row in zip(places, rows.iter_rows(named=True), strict=True):
        colour = _COLOURS[row["vehicles"]]
        axes.plot([0, row["effect"]], [place, place], color=colour, linewidth=1, alpha=0.5)
        axes.plot(
            row["effect"], place, "o", color=colour,
            markerfacecolor=colour if row["alarm"] else "white",
        )  # fmt: skip
        axes.plot(row["effect_with_season"], place, "|", color=_THEN, markersize=9)
    axes.set_yticks(places, [_name(row) for row in rows.iter_rows(named=True)], fontsize=9)
    axes.set_ylim(rows.height - 0.4, -0.6)
    axes.set_xlim(-1.05, 1.05)
    axes.axvspan(-least, least, color="#f0f0f0", zorder=0)
    axes.axvline(0, color="#606060", linewidth=0.8)
    for label, marker, colour, face in (
        ("alarm, known vehicles", "o", _NOW, _NOW),
        ("alarm, new vehicles", "o", _NEW, _NEW),
        ("no alarm", "o", _NOW, "white"),
        ("with the season", "|", _THEN, _THEN),
    ):
        axes.plot([], [], marker, color=colour, markerfacecolor=face, label=label)
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.4, -0.12), ncols=4)
    axes.set_xlabel(f"effect (Cliff's delta); shaded: below {least:g}, too small to alarm")
    axes.spines[["top", "right", "left"]].set_visible(False)


def _vehicles(axes: Axes, row: dict[str, Any], vehicles: pl.DataFrame) -> None:
    means = vehicles.filter(feature=row["feature"], vehicle_type=row["vehicle_type"])
    both = means.drop_nulls()
    came = means.filter(pl.col("reference").is_null())
    if row["season_by"] == "same days":
        _share_below(axes, both["current"], _NOW, "known, same days")
    else:
        _share_below(axes, means["reference"].drop_nulls(), _THEN, "in training")
    if row["vehicles"] == "new":
        _share_below(axes, came["current"], _NEW, "new")
    else:
        _share_below(axes, both["current"] - row["season_shift"], _NOW, "now")
    axes.set_title(_name(row), fontsize=9, loc="left")
    axes.set_ylim(0, 1.02)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(framealpha=0.8, edgecolor="none", fontsize=8)


def _share_below(axes: Axes, values: pl.Series, colour: str, label: str) -> None:
    if len(values):
        ordered: NDArray[np.float64] = np.sort(values.to_numpy())
        axes.ecdf(ordered, color=colour, label=f"{label} ({len(values)})")


def _name(row: dict[str, Any]) -> str:
    new = ", new vehicles" if row["vehicles"] == "new" else ""
    return f"{row['feature']}, {row['vehicle_type']}{new}"


def _title(report: DriftReport, tested: pl.DataFrame) -> str:
    untested = report.rows.height - tested.height
    scarce = f"; {untested} without enough vehicles" if untested else ""
    types = ", ".join(report.types_to_train) or "none"
    return (
        f"Drift against training: {report.alarms.height} alarms of {tested.height} tests{scarce}."
        f" To be trained anew: {types}"
    )
