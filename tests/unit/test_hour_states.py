"""Law 3 for `vehicle_hours`: rows added in any order and parts give what one pass gives."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from statistics import median, median_low
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telemetry_data import HOUR

from fleet_assets.contracts.tables import TELEMETRY, VEHICLE_HOUR_STATES
from fleet_assets.telemetry.hour_states import (
    hour_states,
    no_states,
    out_of_order,
    slot,
    slots_near,
    states_with,
)
from fleet_assets.telemetry.samples import MOMENTARY, NEEDED, samples
from fleet_assets.telemetry.validation import validate
from fleet_assets.telemetry.vehicle_hours import vehicle_hours

T0 = datetime(2026, 2, 1, 5, tzinfo=UTC)
TANKS = pl.DataFrame({"vehicle_id": ["v1"], "tank_gallons": [20.0]})
VALUES = {
    "speed": ["0.00", "0.99", "1.00", "60.01", "158.45", None],
    "engine_rpm": ["0.00", "812.25", "16383.75", None],
    "coolant_temp": ["-40.00", "88.10", None],
    "fuel_level": ["50.20", "49.80", "47.06", "90.00", None],
    "gps_lat": ["-33.000001", "48.123456", None],
    "gps_lon": ["-70.5", "11.000009", None],
    "odometer": ["1200.1", "1200.2", None],
    "throttle_position": ["12.2", None],
    "accel_x": ["0.125", None],
    "invalid_values": ["{}", None],
    "conflict": [False, False, False, True],
}
# a second, its jitter, the bounds of what holds always (5 s) and never (60 s), and silence
STEPS_MS = [
    0, 1, 999, 1000, 1004, 5049, 5050, 9_970, 15_000, 30_000, 60_049, 60_050, 61_000, 600_000,
]  # fmt: skip


@st.composite
def telemetry(draw: st.DrawFn) -> pl.DataFrame:
    """Rows of up to two vehicles, their times in µs."""
    found: list[dict[str, Any]] = []
    for vehicle in ("v1", "v2"):
        moment, seen = 0, set[int]()
        for step, extra in draw(
            st.lists(st.tuples(st.sampled_from(STEPS_MS), st.integers(0, 1100)), max_size=14)
        ):
            moment = (moment + step * 1000 + extra) % 3_600_000_000
            if moment in seen:
                continue
            seen.add(moment)
            values = {name: draw(st.sampled_from(of)) for name, of in VALUES.items()}
            found.append(
                values | {"vehicle_id": vehicle, "event_time": T0 + timedelta(microseconds=moment)}
            )
    schema = TELEMETRY.polars_schema
    numbers = {name for name in NEEDED if schema[name].is_decimal()}
    given = [
        {k: Decimal(v) if k in numbers and v is not None else v for k, v in row.items()}
        for row in found
    ]
    return pl.DataFrame(given, schema={name: schema[name] for name in NEEDED}, orient="row")


def added(before: pl.DataFrame, known: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """States after new samples; of those known only the ones near may be looked at."""
    late = out_of_order(before, new)
    near = None
    if not late.is_empty():
        near = known.with_columns(slot=slot()).join(
            slots_near(late), on=["vehicle_id", "slot"], how="semi"
        )
        near = near.select(MOMENTARY)
    return states_with(before, new, near, HOUR)


@settings(deadline=None, max_examples=60)
@given(rows=telemetry(), data=st.data())
def test_any_parts_in_any_order_give_the_states_of_one_pass(
    rows: pl.DataFrame, data: st.DataObject
) -> None:
    everything = samples(rows.lazy()).collect()
    order = data.draw(st.permutations(range(rows.height)))
    cuts = data.draw(st.lists(st.integers(0, rows.height), max_size=4))
    shuffled = everything[order] if order else everything
    bounds = sorted({0, rows.height, *cuts})
    states = no_states()
    for first, last in pairwise(bounds):
        states = added(states, shuffled.head(first), shuffled[first:last])
    assert states.equals(hour_states(everything, HOUR))
    assert validate(VEHICLE_HOUR_STATES.name, states, HOUR).failures == ()


@settings(deadline=None, max_examples=40)
@given(rows=telemetry())
def test_one_pass_equals_the_definitions(rows: pl.DataFrame) -> None:
    states = hour_states(samples(rows.lazy()).collect(), HOUR)
    found = vehicle_hours(states, TANKS, HOUR)
    assert validate("vehicle_hours", found, HOUR).failures == ()
    for row in found.iter_rows(named=True):
        mine = rows.filter(pl.col("vehicle_id") == row["vehicle_id"]).sort("event_time")
        expected = by_hand(mine.to_dicts())
        assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def by_hand(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One vehicle's hour, row by row as the contract describes it."""
    times = [int((row["event_time"] - T0) / timedelta(milliseconds=1)) for row in rows]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    tenths = [min((gap + 50) // 100, 601) for gap in gaps]
    usual = min(median_low(tenths), 600) if tenths else 10
    longest = min(max(3 * usual, 50), 600)
    holds = [
        gap if tenth <= longest else usual * 100 for gap, tenth in zip(gaps, tenths, strict=True)
    ]
    holds.append(min(usual * 100, 3_600_000 - times[-1]))

    def value(row: dict[str, Any], name: str) -> float | None:
        return None if row["conflict"] or row[name] is None else float(row[name])

    speeds, rpms = ([value(row, name) for row in rows] for name in ("speed", "engine_rpm"))
    moving = [(v, h) for v, h in zip(speeds, holds, strict=True) if v is not None]
    running = [(r, h) for r, h in zip(rpms, holds, strict=True) if r is not None and r > 0]
    both = [(v, r, h) for v, r, h in zip(speeds, rpms, holds, strict=True) if None not in (v, r)]
    fuel = [(t, f) for t, row in zip(times, rows, strict=True) if (f := value(row, "fuel_level"))]
    return {
        "messages": len(rows),
        "conflicts": sum(row["conflict"] for row in rows),
        "invalid_values": sum(row["invalid_values"] is not None for row in rows),
        "seconds_seen": sum(holds) / 1000,
        "distance_miles": sum(v * h for v, h in moving) / 3.6e6 if moving else None,
        "moving_seconds": sum(h for v, h in moving if v >= 1) / 1000 if moving else None,
        "engine_seconds": sum(h for _, h in running) / 1000 if set(rpms) - {None} else None,
        "idle_seconds": sum(h for v, r, h in both if r and v < 1) / 1000 if both else None,
        **statistics("speed_{}_mph", moving),
        **statistics("rpm_{}", running),
        "speed_max_mph": max((v for v in speeds if v is not None), default=None),
        "rpm_max": max((r for r in rpms if r is not None), default=None),
        "fuel_used_percent": fuel_used(fuel),
        "missing_accelerometer": sum(value(row, "accel_x") is None for row in rows) / len(rows),
        **ends("lat", [(value(r, "gps_lat"), value(r, "gps_lon")) for r in rows]),
        **ends("odometer", [(value(r, "odometer"), 0) for r in rows]),
    }


def statistics(form: str, weighted: list[tuple[float, int]]) -> dict[str, float | None]:
    total = sum(weight for _, weight in weighted)
    if not total:
        return {form.format("avg"): None, form.format("std"): None}
    mean = sum(value * weight for value, weight in weighted) / total
    square = sum(weight * (value - mean) ** 2 for value, weight in weighted) / total
    return {form.format("avg"): mean, form.format("std"): square**0.5}


def fuel_used(readings: list[tuple[int, float]]) -> float | None:
    if not readings or readings[-1][0] - readings[0][0] < 600_000:
        return None
    first, last = (
        median(level for at, level in readings if at // 300_000 == block)
        for block in (readings[0][0] // 300_000, readings[-1][0] // 300_000)
    )
    return max(first - last, 0.0) if first - last > -2 else None


def ends(name: str, values: list[tuple[float | None, float | None]]) -> dict[str, float | None]:
    known = [first for first, second in values if first is not None and second is not None]
    form = "odometer_{}_mi" if name == "odometer" else f"{{}}_{name}"
    return {
        form.format("first"): known[0] if known else None,
        form.format("last"): known[-1] if known else None,
    }
