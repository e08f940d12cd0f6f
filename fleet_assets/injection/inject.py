"""Carrying out a plan: telemetry with faults in it, and what is true of them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl

from fleet_assets.injection.effects import effect_of
from fleet_assets.injection.on_the_wire import on_the_wire
from fleet_assets.injection.scene import Fault, Scene
from fleet_assets.injection.signals import signals_of
from fleet_assets.injection.stretches import Flags, Rows, Values, rows_of
from fleet_assets.injection.truth import TRUTH_SCHEMA

_BEFORE_US: Final = 120_000_000
"""How far effects may look back."""


class _Changes:
    """New values by signal, and where they are."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.values: dict[str, Values] = {}
        self.where: dict[str, Flags] = {}

    def put(self, name: str, within: slice, values: Values) -> bool:
        """Notes new values; says whether any differs."""
        old = self._rows.signals[name][within]
        differs = ~np.isnan(old) & ~(values == old)
        if name not in self.values:
            self.values[name] = np.full(len(self._rows.time_us), np.nan)
            self.where[name] = np.zeros(len(self._rows.time_us), np.bool_)
        self.values[name][within] = np.where(differs, values, self.values[name][within])
        self.where[name][within] |= differs
        return bool(differs.any())


def inject(telemetry: pl.DataFrame, plan: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Puts faults into telemetry.

    Values that are unknown stay so; changed ones stay within the bounds of their signals. A value
    that fails is null and named in `null_signals`. Nothing else changes.

    Args:
        telemetry: rows of `telemetry` in any order: `vehicle_id`, `event_time` (unique together),
            `null_signals`, and any signals, as decimals or as floats.
        plan: rows of PLAN_SCHEMA, drawn from the same telemetry. Faults of other vehicles or times
            are left out.

    Returns:
        The telemetry in the same order, and rows of TRUTH_SCHEMA of the faults that have changed
        something, in order of vehicle and time.
    """
    ordered = telemetry.with_row_index("_row").sort("vehicle_id", "event_time")
    rows = rows_of(ordered)
    changes = _Changes(rows)
    code_of = {vehicle_id: code for code, vehicle_id in enumerate(rows.vehicle_ids)}
    happened = [
        fault["vehicle_id"] in code_of
        and _carry_out(fault, rows, rows.of_vehicle(code_of[fault["vehicle_id"]]), changes)
        for fault in plan.iter_rows(named=True)
    ]
    truth = plan.filter(pl.Series(happened, dtype=pl.Boolean)).select(TRUTH_SCHEMA.names())
    changed = _with(ordered, changes)
    order = changed["_row"].arg_sort()
    return changed[order].drop("_row"), truth.sort("vehicle_id", "started_at", "fault_id")


def _carry_out(planned: dict[str, Any], rows: Rows, of_vehicle: slice, changes: _Changes) -> bool:
    subject = str(planned["signal"])
    names = signals_of(subject)
    if any(name not in rows.signals for name in names):
        return False
    time_us = rows.time_us[of_vehicle]
    start_us, end_us = (
        round(planned[name].timestamp() * 1e6) for name in ("started_at", "ended_at")
    )
    before, first, end = np.searchsorted(
        time_us, [start_us - _BEFORE_US, start_us, end_us + 1]
    ).tolist()
    if first == end:
        return False
    part = slice(of_vehicle.start + before, of_vehicle.start + end)
    within = slice(of_vehicle.start + first, of_vehicle.start + end)
    scene = Scene(
        (rows.time_us[part] - start_us) / 1e6,
        {name: values[part] for name, values in rows.signals.items()},
        first - before,
    )
    fault = Fault(
        planned["fault_id"], planned["kind"], subject, planned["amount"], planned["is_up"]
    )
    found = effect_of(fault, scene)
    steps = dict(zip(names, planned["steps"], strict=True))
    sent = {
        name: np.where(values == scene.within(name), values, on_the_wire(values, name, steps[name]))
        for name, values in found.items()
    }
    differs = [changes.put(name, within, values) for name, values in sent.items()]
    return any(differs)


def _with(ordered: pl.DataFrame, changes: _Changes) -> pl.DataFrame:
    """The rows with their new values; all others keep what they had, to the digit."""
    for name, flags in changes.where.items():
        if not flags.any():
            continue
        new = pl.Series(name, changes.values[name]).fill_nan(None)
        is_changed = pl.Series(flags)
        failed = is_changed & new.is_null()
        ordered = ordered.with_columns(
            pl.when(is_changed).then(new.cast(ordered.schema[name])).otherwise(name).alias(name),
            pl.when(failed)
            .then(pl.col("null_signals").list.set_union(pl.lit([name])))
            .otherwise("null_signals")
            .alias("null_signals"),
        )
        if "inexact_values" in ordered.columns:
            ordered = ordered.with_columns(_without_original(name, is_changed))
    return ordered


def _without_original(name: str, is_changed: pl.Series) -> pl.Expr:
    """The notes of what decimals cannot hold, less that of a signal that has another value now."""
    notes = pl.col("inexact_values")
    left = (
        notes.str.replace(rf'"{name}":[^,}}]+,?', "")
        .str.replace(",}", "}", literal=True)
        .replace("{}", None)
    )
    return pl.when(is_changed).then(left).otherwise(notes).alias("inexact_values")
