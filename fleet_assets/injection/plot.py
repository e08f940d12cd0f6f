"""A picture of one injected fault beside what the vehicle has really sent."""

from __future__ import annotations

import base64
import io
from datetime import timedelta
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from fleet_assets.contracts.signals import SIGNAL_BY_NAME
from fleet_assets.injection.signals import signals_of
from fleet_assets.injection.stretches import metres_between

_HEALTHY: Final = "#bab0ac"
_FAULTY: Final = "#e15759"
_SPAN: Final = "#fbe9e7"
_BESIDE: Final = "#4e79a7"
_CONTEXT: Final = ("speed", "engine_rpm", "throttle_position")
"""Signals that say what the vehicle does, the best first."""
_GAP_S: Final = 30


def fault_plot(healthy: pl.DataFrame, faulty: pl.DataFrame, fault: dict[str, Any]) -> str:
    """A PNG as a data address of `fault_figure`."""
    out = io.BytesIO()
    fault_figure(healthy, faulty, fault).savefig(out, format="png", dpi=80)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def fault_figure(healthy: pl.DataFrame, faulty: pl.DataFrame, fault: dict[str, Any]) -> Figure:
    """The signals of a fault, healthy and faulty, and below another one that tells of the drive.

    Args:
        healthy: rows of `telemetry` as they were.
        faulty: the same rows with faults.
        fault: a row of truth.
    """
    shown = _window(fault)
    before = healthy.filter(shown).sort("event_time")
    after = faulty.filter(shown).sort("event_time")
    names = signals_of(fault["signal"])
    beside = next((n for n in _CONTEXT if n not in names and _is_known(before, n)), None)
    count = len(names) + (beside is not None)
    figure = Figure(figsize=(11, 1.2 + 1.9 * count), layout="constrained")
    panels = np.atleast_1d(np.asarray(figure.subplots(count, 1, sharex=True)))
    for axes, name in zip(panels, names, strict=False):
        _line(axes, before, name, _HEALTHY, "healthy", 3)
        _line(axes, after, name, _FAULTY, "with the fault", 1)
        axes.set_ylabel(_label(name))
    if beside is not None:
        _line(panels[-1], after, beside, _BESIDE, beside, 1)
        panels[-1].set_ylabel(_label(beside))
    for axes in panels:
        axes.axvspan(fault["started_at"], fault["ended_at"], color=_SPAN, zorder=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.ticklabel_format(axis="y", useOffset=False)
    locator = AutoDateLocator(tz="UTC")  # type: ignore[no-untyped-call]
    panels[-1].xaxis.set_major_locator(locator)
    form = ConciseDateFormatter(locator, tz="UTC")  # type: ignore[no-untyped-call]
    panels[-1].xaxis.set_major_formatter(form)
    panels[0].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    figure.suptitle(_title(before, after, fault), fontsize=10, x=0.01, ha="left")
    return figure


def _window(fault: dict[str, Any]) -> pl.Expr:
    """The fault and half of its length before and after, a minute at least."""
    length = fault["ended_at"] - fault["started_at"]
    around = max(length / 2, timedelta(minutes=1))
    span = fault["started_at"] - around, fault["ended_at"] + around
    is_near = pl.col("event_time").is_between(*span)
    return is_near & (pl.col("vehicle_id") == pl.lit(fault["vehicle_id"]))


def _is_known(rows: pl.DataFrame, name: str) -> bool:
    return name in rows.columns and rows[name].null_count() < rows.height


def _line(axes: Axes, rows: pl.DataFrame, name: str, colour: str, label: str, width: int) -> None:
    """A line that is broken where nothing is known or nothing was sent."""
    silent = rows["event_time"].diff().dt.total_seconds().fill_null(0) > _GAP_S
    values = rows[name].cast(pl.Float64).fill_null(np.nan)
    drawn = values.set(silent, np.nan).to_numpy()
    axes.plot(rows["event_time"].to_list(), drawn, color=colour, label=label, linewidth=width)


def _label(name: str) -> str:
    return f"{name.replace('_', ' ')}\n{SIGNAL_BY_NAME[name].unit}"


def _title(before: pl.DataFrame, after: pl.DataFrame, fault: dict[str, Any]) -> str:
    size = f"{fault['magnitude']:.3g} {fault['unit']}"
    length = (fault["ended_at"] - fault["started_at"]).total_seconds()
    clear = "clear" if fault["is_clear"] else "not called clear"
    told = f"{fault['vehicle_id']}: {fault['kind']} of {fault['signal']}, {size}"
    if fault["magnitude"] != length:
        told += f", {length:.0f} s"
    off = ""
    if fault["signal"] == "gps" and fault["kind"] != "dropout":
        ways = [frame[name].cast(pl.Float64).to_numpy() for frame in (before, after)
                for name in ("gps_lat", "gps_lon")]  # fmt: skip
        furthest = np.nanmax(np.hypot(*metres_between(ways[0], ways[1], ways[2], ways[3])))
        off = f", at most {furthest:,.0f} m off"
    return f"{told}{off} ({clear})"
