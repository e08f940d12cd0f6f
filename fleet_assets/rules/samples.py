"""Telemetry as the detectors see it: arrays in order of vehicle and time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
BEYOND: Final = ("speed",)
"""Signals of which rules may ask for values out of their hard bounds."""


@dataclass(frozen=True)
class Samples:
    """Rows of telemetry of some vehicles, each with all of its rows of the window.

    Attributes:
        vehicle_ids: id by code.
        vehicle: code of each row's vehicle, not decreasing.
        time_us: event time in µs, increasing within a vehicle.
        signals: numbers and flags (0, 1) by name; NaN: absent, null, out of bounds or in conflict.
            A signal that no row has may be missing: ask by `of`.
        nulls: by signal, rows that name it with an explicit null; signals without any are missing.
        is_context: rows before the window, which are there so that the first rows of the window can
            look back; no finding may begin or end in them.
        in_conflict: rows whose message contradicts another one, of which nothing is known; None:
            there are none.
        beyond: by signal of BEYOND, the values that were refused because they are out of its hard
            bounds, NaN elsewhere; signals without any are missing.
    """

    vehicle_ids: pl.Series
    vehicle: NDArray[np.int32]
    time_us: NDArray[np.int64]
    signals: Mapping[str, Values]
    nulls: Mapping[str, Flags]
    is_context: Flags
    in_conflict: Flags | None = None
    beyond: Mapping[str, Values] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.time_us)

    def of(self, signal: str) -> Values:
        """A signal's values; all NaN if no row has it."""
        found = self.signals.get(signal)
        return np.full(len(self), np.nan) if found is None else found

    def at(
        self, rows: NDArray[np.int64] | slice, signals: Collection[str] | None = None
    ) -> Samples:
        """Some of the rows, in order; they should be whole vehicles. A slice copies nothing.

        Args:
            rows: their indices.
            signals: those that are wanted; None: all.
        """
        return Samples(
            self.vehicle_ids,
            self.vehicle[rows],
            self.time_us[rows],
            {
                name: values[rows]
                for name, values in self.signals.items()
                if signals is None or name in signals
            },
            {name: flags[rows] for name, flags in self.nulls.items()},
            self.is_context[rows],
            None if self.in_conflict is None else self.in_conflict[rows],
            {name: values[rows] for name, values in self.beyond.items()},
        )

    @property
    def is_first(self) -> Flags:
        """First row of each vehicle."""
        first = np.ones(len(self), np.bool_)
        np.not_equal(self.vehicle[1:], self.vehicle[:-1], out=first[1:])
        return first


def samples_of(
    telemetry: pl.DataFrame, signals: Collection[str], window_start_us: int | None = None
) -> Samples:
    """Samples from rows of `telemetry`.

    Args:
        telemetry: rows in order of vehicle and event time, with the columns of the signals,
            `null_signals` and `conflict`; `invalid_values` where rules are to see refused values.
        signals: numbers and flags that are wanted.
        window_start_us: rows before it are context.
    """
    ids = telemetry["vehicle_id"].rle_id()
    time_us = telemetry["event_time"].dt.epoch("us").to_numpy()
    conflict = telemetry["conflict"].to_numpy()
    contested = np.flatnonzero(conflict)
    values: dict[str, Values] = {}
    for name in signals:
        column = telemetry[name]
        if column.null_count() < column.len():
            known = column.cast(pl.Float64).fill_null(np.nan)
            array = known.to_numpy(writable=len(contested) > 0)
            if len(contested):
                array[contested] = np.nan
            values[name] = array
    context = np.zeros(len(time_us), np.bool_)
    if window_start_us is not None:
        context = time_us < window_start_us
    firsts = telemetry["vehicle_id"].gather(ids.arg_unique())
    codes = ids.cast(pl.Int32).to_numpy()
    return Samples(
        firsts, codes, time_us, values,
        _nulls(telemetry["null_signals"], signals, conflict),
        context,
        conflict if len(contested) else None,
        _beyond(telemetry, conflict),
    )  # fmt: skip


def _nulls(named: pl.Series, signals: Collection[str], conflict: Flags) -> dict[str, Flags]:
    """By signal the rows that name it; few rows name any."""
    rows = (named.list.len() > 0).fill_null(False).arg_true()
    lists = named.gather(rows)
    at = rows.to_numpy()
    any_of_them = frozenset(lists.explode().drop_nulls().unique()) if len(at) else frozenset()
    found = {}
    for name in signals:
        if name in any_of_them:
            flags = np.zeros(len(named), np.bool_)
            flags[at[lists.list.contains(name).to_numpy()]] = True
            found[name] = flags & ~conflict
    return found


def _beyond(telemetry: pl.DataFrame, conflict: Flags) -> dict[str, Values]:
    """Originals of the values that are out of bounds."""
    found: dict[str, Values] = {}
    if "invalid_values" not in telemetry.columns:
        return found
    rows = np.flatnonzero(telemetry["invalid_values"].is_not_null().to_numpy() & ~conflict)
    notes = telemetry["invalid_values"].gather(rows)
    for name in BEYOND if len(rows) else ():
        original = notes.str.json_path_match(f"$.{name}.value").cast(pl.Float64, strict=False)
        reason = notes.str.json_path_match(f"$.{name}.reason")
        is_out = (reason == "out_of_bounds").fill_null(False) & original.is_finite()
        if is_out.any():
            found[name] = np.full(len(conflict), np.nan)
            found[name][rows] = original.set(~is_out.fill_null(False), None).to_numpy()
    return found
