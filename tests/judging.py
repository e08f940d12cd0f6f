"""What the pipeline does for a small lake, from messages to trips and anomalies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl
from drives import vehicle
from telemetry_data import LATE_AFTER

from fleet_assets.lake.anomalies import collect_anomalies, hours_to_collect
from fleet_assets.lake.by_onset import ByOnset, stitch_hours
from fleet_assets.lake.refresh import newest_raw_versions, refresh_hour
from fleet_assets.lake.rule_anomalies import by_rules
from fleet_assets.lake.rule_history import history_left, stitch_history
from fleet_assets.lake.segments import hours_judged_otherwise, hours_to_judge, refresh_segments
from fleet_assets.lake.store import Lake
from fleet_assets.lake.trips import by_travel, hours_to_tile, refresh_trip_segments
from fleet_assets.lake.vehicle_hours import refresh_vehicle_hours
from fleet_assets.rules.book import RuleBook, releases
from fleet_assets.rules.resolve import OVERRIDE_SCHEMA, VEHICLE_SCHEMA

TANKS = pl.DataFrame(schema={"vehicle_id": pl.String, "tank_gallons": pl.Float64})


def book(*overrides: dict[str, object]) -> RuleBook:
    return RuleBook(
        releases(),
        pl.DataFrame([vehicle("v1"), vehicle("v2")], schema=VEHICLE_SCHEMA),
        pl.DataFrame(list(overrides), schema=OVERRIDE_SCHEMA),
    )


def bring_up(lake: Lake, rules: RuleBook | None = None, hours: Sequence[str] | None = None) -> None:
    """What the pipeline does for hours with new messages."""
    rules = rules or book()
    landed = newest_raw_versions(lake.open("raw_telemetry"))
    for hour in hours or landed:
        refresh_hour(lake, hour, frozenset({"v1", "v2"}), LATE_AFTER)
        refresh_vehicle_hours(lake, hour, TANKS)
    for hour in {*hours_to_judge(lake), *hours_judged_otherwise(lake, rules)}:
        refresh_segments(lake, hour, rules)
    _stitch(lake, by_rules(rules))
    for hour in hours_to_tile(lake):
        refresh_trip_segments(lake, hour)
    _stitch(lake, by_travel())
    now = datetime.now(UTC)
    list(stitch_history(lake, rules, timedelta(), now))
    collect_anomalies(lake, hours_to_collect(lake))
    assert (
        not hours_to_judge(lake)
        + by_rules(rules).follows.hours_left(lake)
        + sorted(history_left(lake, timedelta(), now))
        + hours_to_collect(lake)
    )
    assert not hours_judged_otherwise(lake, rules)


def _stitch(lake: Lake, what: ByOnset) -> None:
    stitch_hours(lake, what.follows.hours_left(lake), what)
