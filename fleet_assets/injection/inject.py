"""Carrying out a plan: telemetry with faults in it, and what is true of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.injection.effects import effect_of
from fleet_assets.injection.on_the_wire import on_the_wire
from fleet_assets.injection.scene import Fault, Scene
from fleet_assets.injection.signals import signals_of
from fleet_assets.injection.stretches import Flags, Keys, Rows, Values, keys_of, rows_of
from fleet_assets.injection.truth import TRUTH_SCHEMA

_BEFORE_US: Final = 120_000_000
"""How far effects may look back."""


def inject(telemetry: pl.DataFrame, plan: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Puts faults into telemetry.

    Values that are unknown stay so; changed ones stay within the bounds of their signals. A value
    that fails is null and named in `null_signals`. Nothing else changes.

    Args:
        telemetry: rows of `telemetry` in any order: `vehicle_id`, `event_time` (unique together),
            `null_signals`, and any signals, as decimals or as floats.
        plan: rows of PLAN_SCHEMA, drawn from the same telemetry; those of one signal of a vehicle
            must not overlap. Faults of other vehicles or times are left out.

    Returns:
        The telemetry in the same order, and rows of TRUTH_SCHEMA of the faults that have changed
        something, in order of vehicle and time.
    """
    keys = keys_of(telemetry)
    faults = plan.rows(named=True)
    spans = [_span(keys, fault) for fault in faults]
    near = np.unique(np.concatenate([np.empty(0, np.int64), *map(_whole, spans)]))
    part = telemetry[keys.order[near]]
    rows = rows_of(part)
    changes = _Changes(rows)
    happened = [
        _carry_out(fault, rows, span.among(near), changes)
        for fault, span in zip(faults, spans, strict=True)
    ]
    changed = _placed(telemetry, keys.order[near], part, _with(part, changes))
    truth = plan.filter(pl.Series(happened, dtype=pl.Boolean)).select(TRUTH_SCHEMA.names())
    return changed, truth.sort("vehicle_id", "started_at", "fault_id")


@dataclass(frozen=True)
class _Span:
    """Where a fault lies in rows in order: what effects look back on, its first row, its end."""

    before: int
    first: int
    end: int

    def among(self, chosen: NDArray[np.int64]) -> _Span:
        """The same among some of the rows."""
        return _Span(*np.searchsorted(chosen, [self.before, self.first, self.end]).tolist())


def _whole(span: _Span) -> NDArray[np.int64]:
    return np.arange(span.before, span.end)


def _span(keys: Keys, fault: dict[str, Any]) -> _Span:
    """Empty where no row of the vehicle lies in it."""
    rows = keys.of_vehicle(fault["vehicle_id"])
    start_us, end_us = (round(fault[name].timestamp() * 1e6) for name in ("started_at", "ended_at"))
    moments = [start_us - _BEFORE_US, start_us, end_us + 1]
    found = rows.start + np.searchsorted(keys.time_us[rows], moments)
    before, first, end = found.tolist()
    return _Span(before, first, end) if first < end else _Span(end, end, end)


class _Changes:
    """New values by signal, and where they are."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.values: dict[str, Values] = {}
        self.where: dict[str, Flags] = {}

    def put(self, name: str, within: slice, values: Values) -> bool:
        """Notes new values; says whether any differs."""
        old = self._rows.signals[name]
        differs = ~np.isnan(old[within]) & ~(values == old[within])
        if name not in self.values:
            self.values[name] = np.full(len(old), np.nan)
            self.where[name] = np.zeros(len(old), np.bool_)
        self.values[name][within] = np.where(differs, values, self.values[name][within])
        self.where[name][within] |= differs
        return bool(differs.any())


def _carry_out(planned: dict[str, Any], rows: Rows, span: _Span, changes: _Changes) -> bool:
    """Notes what a fault changes; says whether it changes anything."""
    subject = str(planned["signal"])
    names = signals_of(subject)
    if span.first == span.end or any(name not in rows.signals for name in names):
        return False
    part, within = slice(span.before, span.end), slice(span.first, span.end)
    scene = Scene(
        (rows.keys.time_us[part] - rows.keys.time_us[span.first]) / 1e6,
        {name: values[part] for name, values in rows.signals.items()},
        span.first - span.before,
    )
    fault = Fault(
        planned["fault_id"], planned["kind"], subject, planned["amount"], planned["is_up"]
    )
    found = effect_of(fault, scene)
    differs = [
        changes.put(name, within, _sent(scene.within(name), found[name], name, step))
        for name, step in zip(names, planned["steps"], strict=True)
    ]
    return any(differs)


def _sent(old: Values, new: Values, name: str, step: float) -> Values:
    """New values on the wire; what no fault has changed keeps its digits."""
    return np.where(new == old, old, on_the_wire(new, name, step))


def _with(part: pl.DataFrame, changes: _Changes) -> pl.DataFrame:
    """Rows with their new values; all others keep what they had, to the digit."""
    for name, flags in changes.where.items():
        if not flags.any():
            continue
        new = pl.Series(name, changes.values[name]).fill_nan(None)
        is_changed = pl.Series(flags)
        failed = is_changed & new.is_null()
        part = part.with_columns(
            pl.when(is_changed).then(new.cast(part.schema[name])).otherwise(name).alias(name),
            pl.when(failed)
            .then(pl.col("null_signals").list.set_union(pl.lit([name])))
            .otherwise("null_signals")
            .alias("null_signals"),
        )
        if "inexact_values" in part.columns:
            part = part.with_columns(_without_original(name, is_changed))
    return part


def _without_original(name: str, is_changed: pl.Series) -> pl.Expr:
    """The notes of what decimals cannot hold, less that of a signal that has another value now."""
    notes = pl.col("inexact_values")
    left = (
        notes.str.replace(rf'"{name}":[^,}}]+,?', "")
        .str.replace(",}", "}", literal=True)
        .replace("{}", None)
    )
    return pl.when(is_changed).then(left).otherwise(notes).alias("inexact_values")


def _placed(
    telemetry: pl.DataFrame, at: NDArray[np.int64], before: pl.DataFrame, after: pl.DataFrame
) -> pl.DataFrame:
    """The telemetry with some of its rows replaced, column by column where they differ."""
    source = np.arange(telemetry.height)
    source[at] = telemetry.height + np.arange(len(at))
    return telemetry.with_columns(
        pl.concat([telemetry[name], after[name]]).gather(source)
        for name in _differing(before, after)
    )


def _differing(before: pl.DataFrame, after: pl.DataFrame) -> Sequence[str]:
    return [name for name in before.columns if not before[name].equals(after[name])]
