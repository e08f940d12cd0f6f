"""`anomalies`: what counts of that which rules and models have found, with revisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.fault_points import fault_point
from fleet_assets.lake.by_onset import Stitched
from fleet_assets.lake.finding_ids import shared_ids
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import by_hour, collected_id, rows_id
from fleet_assets.lake.model_anomalies import MODEL_ANOMALIES
from fleet_assets.lake.rule_anomalies import RULE_ANOMALIES
from fleet_assets.lake.store import Lake, TableSnapshot, retrying
from fleet_assets.telemetry.validation import validate_hours

ANOMALIES: Final = "anomalies"
_COLUMNS: Final = TABLE_BY_NAME[ANOMALIES].polars_schema
_CONTENT: Final = [name for name in _COLUMNS if name != "revision"]
SOURCES: Final = {RULE_ANOMALIES: "rule", MODEL_ANOMALIES: "model"}
"""Tables of what was found, with what found it."""
_TOLD: Final = ["anomaly_id", "rule_id", "severity", "state"]
"""What a change of is told also while an anomaly is open."""


def hours_to_collect(lake: Lake) -> list[str]:
    """Hours whose anomalies are not those that rules and models have found, in order."""
    anomalies = lake.find(ANOMALIES)
    done = {} if anomalies is None else all_marks(anomalies.delta)
    return sorted(
        {
            hour
            for name, found in _found(lake).items()
            for hour, number in by_hour(all_marks(found.delta), rows_id).items()
            if done.get(collected_id(name, hour)) != number
        }
    )


def collect_anomalies(lake: Lake, event_hours: Sequence[str]) -> Stitched:
    """Brings the anomalies of some hours in line, in one commit.

    Also those elsewhere that overlap with what has changed, as they share an id.

    Raises:
        InvalidHourError: the rows break their contract; nothing is committed.
    """
    if not event_hours:
        return Stitched({}, {})

    def attempt() -> Stitched:
        anomalies = lake.open(ANOMALIES)
        found = _found(lake)
        numbers = {name: all_marks(table.delta) for name, table in found.items()}
        ids, touched = shared_ids(list(found.values()), anomalies, event_hours)
        hours = [*event_hours, *touched]
        files = anomalies.files_of(hours)
        before = anomalies.read_files(files)
        live = pl.concat(_live(name, table, hours) for name, table in found.items())
        rows = revised(before, _named(live, ids, before))
        made = {hour: rows.filter(pl.col("event_hour") == hour) for hour in hours}
        verdicts = validate_hours(ANOMALIES, made)
        marks = {
            collected_id(name, hour): of.get(rows_id(hour), 0)
            for name, of in numbers.items()
            for hour in hours
        } | {rows_id(hour): (anomalies.committed(rows_id(hour)) or 0) + 1 for hour in hours}
        fault_point("anomalies.before_collected")
        anomalies.commit_files({hour: [mine] for hour, mine in made.items()}, files, marks)
        fault_point("anomalies.collected")
        return Stitched({hour: mine.height for hour, mine in made.items()}, verdicts)

    return retrying("anomalies", attempt)


def _found(lake: Lake) -> dict[str, TableSnapshot]:
    """What has been found, by the name of the table."""
    tables = {name: lake.find(name) for name in SOURCES}
    return {name: table for name, table in tables.items() if table is not None}


def _live(name: str, found: TableSnapshot, hours: Sequence[str]) -> pl.DataFrame:
    """What counts of it, as content of `anomalies`."""
    rows = found.read_files(found.files_of(hours), where=pl.col("stage") == "live")
    if "model_id" not in rows.columns:
        rows = rows.with_columns(model_id=pl.lit(None, dtype=pl.String))
    return rows.with_columns(source=pl.lit(SOURCES[name])).select(_CONTENT)


def _named(live: pl.DataFrame, ids: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """With the ids that overlapping ones share; what is not among them keeps its own."""
    had = before.select("anomaly_id", had="finding_id")
    return (
        live.join(ids.rename({"finding_id": "shared"}), on="anomaly_id", how="left")
        .join(had, on="anomaly_id", how="left")
        .with_columns(finding_id=pl.coalesce("shared", "had", "finding_id"))
        .drop("shared", "had")
    )


def revised(before: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """Rows of `anomalies` of what was found.

    That an open anomaly goes on is no revision, as long as its severity stays.

    Args:
        before: rows of `anomalies` of the same hours.
        found: the same rows as they are now, without their revision.
    """
    content = found.select(_CONTENT)
    same = before.select(*_CONTENT, is_same=pl.lit(value=True))
    goes_on = before.filter(pl.col("state") == "open").select(*_TOLD, goes_on=pl.lit(value=True))
    unchanged = pl.col("is_same").fill_null(value=False) | pl.col("goes_on").fill_null(value=False)
    return (
        content.join(before.select("anomaly_id", "revision"), on="anomaly_id", how="left")
        .join(same, on=_CONTENT, how="left", nulls_equal=True)
        .join(goes_on, on=_TOLD, how="left", nulls_equal=True)
        .with_columns(
            revision=pl.when(unchanged)
            .then("revision")
            .otherwise(pl.col("revision") + 1)
            .fill_null(0)
        )
        .select(pl.col(name).cast(kind) for name, kind in _COLUMNS.items())
        .sort("vehicle_id", "condition", "started_at")
    )
