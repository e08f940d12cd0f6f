"""What a vehicle did in an hour, against sums done by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from telemetry_data import HOUR

from fleet_assets.contracts.signals import SIGNALS
from fleet_assets.contracts.tables import TELEMETRY
from fleet_assets.telemetry.hour_states import hour_states
from fleet_assets.telemetry.samples import NEEDED, samples
from fleet_assets.telemetry.validation import validate
from fleet_assets.telemetry.vehicle_hours import vehicle_hours

T0 = datetime(2026, 2, 1, 5, tzinfo=UTC)
TANKS = pl.DataFrame({"vehicle_id": ["v1"], "tank_gallons": [20.0]})
NO_TANKS = TANKS.clear()


def rows(samples: Iterable[tuple[float, dict[str, Any]]]) -> pl.DataFrame:
    """Telemetry of one vehicle from (second of the hour, values)."""
    given = [
        {"vehicle_id": "v1", "event_time": T0 + timedelta(seconds=second), "conflict": False}
        | values
        for second, values in samples
    ]
    types = {s.name: pl.Float64() if s.kind == "number" else s.dtype for s in SIGNALS}
    typed = pl.DataFrame(given, schema_overrides={"event_time": pl.Datetime("us", "UTC")})
    missing = [
        pl.lit(None, dtype=types.get(c, TELEMETRY.polars_schema[c])).alias(c)
        for c in NEEDED
        if c not in typed.columns
    ]
    return typed.with_columns(missing).select(NEEDED).cast(
        {c: TELEMETRY.polars_schema[c] for c in NEEDED}
    )  # fmt: skip


def whole_hour(telemetry: pl.DataFrame, tanks: pl.DataFrame = TANKS) -> pl.DataFrame:
    return vehicle_hours(hour_states(samples(telemetry.lazy()).collect(), HOUR), tanks, HOUR)


def hour(given: Iterable[tuple[float, dict[str, Any]]], tanks: pl.DataFrame = TANKS) -> Any:
    found = whole_hour(rows(given), tanks)
    assert validate("vehicle_hours", found, HOUR).failures == ()
    return found.row(0, named=True)


DRIVING = {"speed": 60.0, "engine_rpm": 2000.0}
IDLING = {"speed": 0.0, "engine_rpm": 800.0}
PARKED = {"speed": 0.0, "engine_rpm": 0.0}


def test_a_full_hour_at_one_hertz_counts_3600_seconds() -> None:
    found = hour((second, DRIVING) for second in range(3600))
    assert found["messages"] == 3600
    assert found["seconds_seen"] == found["engine_seconds"] == found["moving_seconds"] == 3600
    assert found["distance_miles"] == pytest.approx(60)
    assert found["idle_seconds"] == 0
    assert (found["speed_avg_mph"], found["speed_std_mph"]) == (60, 0)
    assert found["hour_start"] == T0


def test_driving_idling_and_parking_are_told_apart() -> None:
    kinds = [DRIVING] * 1800 + [IDLING] * 600 + [PARKED] * 1200
    found = hour(enumerate(kinds))
    assert found["moving_seconds"] == 1800
    assert found["idle_seconds"] == 600
    assert found["engine_seconds"] == 2400
    assert found["distance_miles"] == pytest.approx(30)
    assert found["speed_avg_mph"] == pytest.approx(30)
    assert found["speed_std_mph"] == pytest.approx(30)
    assert found["rpm_avg"] == pytest.approx((1800 * 2000 + 600 * 800) / 2400)
    assert (found["speed_max_mph"], found["rpm_max"]) == (60, 2000)


@pytest.mark.parametrize(
    ("interval", "gap", "held"),
    [(1, 5, 5), (1, 5.5, 1), (1, 600, 1), (10, 30, 30), (10, 31, 10), (30, 60, 60), (30, 61, 30)],
)
def test_a_sample_holds_over_a_gap_of_three_intervals_within_5_to_60_s_else_for_one(
    interval: float, gap: float, held: float
) -> None:
    before = [n * interval for n in range(11)]
    after = [before[-1] + gap + n * interval for n in range(11)]
    found = hour((second, DRIVING) for second in [*before, *after])
    assert found["seconds_seen"] == pytest.approx(20 * interval + held + interval)


def test_the_last_sample_does_not_hold_past_the_hour() -> None:
    found = hour((3600 - 25 + n * 10, DRIVING) for n in range(3))
    assert found["seconds_seen"] == pytest.approx(25)


def test_one_sample_counts_one_second() -> None:
    found = hour([(0, DRIVING | {"gps_lat": 1.5, "gps_lon": 2.5})])
    assert found["messages"] == 1
    assert found["seconds_seen"] == 1
    assert found["distance_miles"] == pytest.approx(60 / 3600)
    assert (found["first_lat"], found["last_lon"]) == (1.5, 2.5)
    assert found["fuel_used_percent"] is None


def test_values_in_conflict_are_unknown() -> None:
    samples = [(0, DRIVING), (1, DRIVING | {"speed": 100.0, "conflict": True}), (2, DRIVING)]
    found = hour(samples)
    assert (found["messages"], found["conflicts"]) == (3, 1)
    assert found["seconds_seen"] == 3
    assert found["moving_seconds"] == found["engine_seconds"] == 2
    assert found["distance_miles"] == pytest.approx(2 * 60 / 3600)
    assert found["speed_max_mph"] == found["speed_avg_mph"] == 60
    assert found["missing_speed"] == pytest.approx(1 / 3)


def test_what_was_never_measured_is_null_and_not_zero() -> None:
    found = hour([(0, {"coolant_temp": 80.0}), (1, {"coolant_temp": 90.0})])
    for name in ("distance_miles", "engine_seconds", "idle_seconds", "speed_avg_mph", "rpm_max"):
        assert found[name] is None
    assert found["coolant_max_c"] == 90
    assert found["missing_speed"] == found["missing_gps"] == found["missing_accelerometer"] == 1


def fuel(first: float, last: float, minutes: int = 60) -> Iterable[tuple[float, dict[str, Any]]]:
    seconds = range(0, minutes * 60, 10)
    return [
        (s, {"fuel_level": round(first + (last - first) * (s > seconds[-1] / 2), 2)})
        for s in seconds
    ]


@pytest.mark.parametrize(
    ("first", "last", "minutes", "used"),
    [
        (60, 57.5, 60, 2.5),
        (60, 61, 60, 0),  # slosh
        (60, 90, 60, None),  # refuelled
        (60, 59, 5, None),  # too short to tell
    ],
)
def test_fuel_used_is_the_fall_of_the_level(
    first: float, last: float, minutes: int, used: float | None
) -> None:
    found = hour(fuel(first, last, minutes))
    assert found["fuel_used_percent"] == (None if used is None else pytest.approx(used))
    assert found["fuel_used_gallons"] == (None if used is None else pytest.approx(used / 5))


def test_without_a_tank_size_gallons_are_unknown() -> None:
    found = hour(fuel(60, 57.5), NO_TANKS)
    assert found["fuel_used_percent"] == pytest.approx(2.5)
    assert found["fuel_used_gallons"] is None


def test_one_spike_of_the_fuel_sensor_changes_nothing() -> None:
    samples = [(s, v if s != 10 else {"fuel_level": 0.0}) for s, v in fuel(60, 57.5)]
    assert hour(samples)["fuel_used_percent"] == pytest.approx(2.5)


def test_the_order_of_rows_does_not_matter_and_vehicles_do_not_mix() -> None:
    kinds = [DRIVING] * 30 + [IDLING] * 30
    one = rows(enumerate(kinds))
    other = one.with_columns(vehicle_id=pl.lit("v2"), speed=pl.col("speed") * 0)
    together = whole_hour(pl.concat([other, one]).reverse())
    assert together["vehicle_id"].to_list() == ["v1", "v2"]
    assert together.head(1).equals(whole_hour(one))


def test_an_empty_hour_has_no_rows() -> None:
    assert whole_hour(rows([(0, DRIVING)]).clear()).is_empty()
