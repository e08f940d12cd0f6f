"""What catalogues find in days, trips and trouble codes of the lake, as a backtest asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import polars as pl

from fleet_assets.anomalies.from_history import not_exempt
from fleet_assets.anomalies.local_days import LONGEST_DAY, in_local_days
from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.lake.by_onset import newest_event
from fleet_assets.lake.rule_history import DAY_COLUMNS, TRIP_COLUMNS, VEHICLE_HOURS
from fleet_assets.lake.rule_replay import Variant
from fleet_assets.lake.segments import CODES, SEGMENTS
from fleet_assets.lake.store import Lake
from fleet_assets.lake.trips import TRIPS
from fleet_assets.rules.findings import FINDING_SCHEMA
from fleet_assets.rules.history.find import code_findings, day_findings, trip_findings
from partitions.hours import HOUR, hour_key, hour_start

LOOKED_BACK: Final = timedelta(days=62)
"""So much of what was before the span is read, of codes and trips."""


def history_findings(
    lake: Lake, event_hours: Sequence[str], variants: Sequence[Variant]
) -> tuple[pl.DataFrame, ...]:
    """Findings that begin in some hours, from trips, codes and hours as the lake has them.

    Args:
        lake: the lake; tables that it lacks have found nothing.
        event_hours: keys of the hours in order.
        variants: the catalogues.

    Returns:
        For each variant, rows of FINDING_SCHEMA.
    """
    begin, end = hour_start(event_hours[0]), hour_start(event_hours[-1]) + HOUR
    first = hour_key(begin - LOOKED_BACK)
    trips = _rows(lake, TRIPS, TRIP_COLUMNS, first, hour_key(end))
    driven = trips.filter(pl.col("trip_kind") == "motion")
    codes = _rows(lake, CODES, None, first, hour_key(end))
    hours = _rows(lake, VEHICLE_HOURS, DAY_COLUMNS, first, hour_key(end + LONGEST_DAY))
    horizon = newest_event(lake, SEGMENTS)
    made = []
    for variant in variants:
        catalogue, vehicles = variant.catalogue, variant.known.vehicles
        found = pl.concat(
            [
                day_findings(in_local_days(hours, vehicles), catalogue, horizon),
                trip_findings(driven, catalogue),
                code_findings(codes, driven, catalogue),
            ]
        )
        on = [rule.id for rule in catalogue.rules if rule.stage != "off"]
        mine = found.filter(
            pl.col("rule_id").is_in(on) & pl.col("started_at").is_between(begin, end, closed="left")
        )
        made.append(not_exempt(mine, catalogue, vehicles).select(FINDING_SCHEMA.names()))
    return tuple(made)


def _rows(
    lake: Lake, name: str, columns: Sequence[str] | None, first: str, last: str
) -> pl.DataFrame:
    table = lake.find(name)
    if table is None or table.files.is_empty():
        return TABLE_BY_NAME[name].polars_schema.to_frame().select(columns or pl.all())
    inside = pl.col("event_hour").is_between(pl.lit(first), pl.lit(last))
    return table.read_files(table.files.filter(inside), list(columns) if columns else None)
