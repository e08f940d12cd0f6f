"""Anomalies from the lake into the warehouse, with what became of those that were there.

Rows, lineage, what people said, and the changes to be published move in one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl
import psycopg

from fleet_assets.anomalies.changes import KNOWN_SCHEMA, Changes, changes
from fleet_assets.lake.store import Lake
from fleet_assets.warehouse.load import LoadedTable, hours_predicate, replace_hours
from fleet_assets.warehouse.load_stale import loaded_entries, stale_hours

ANOMALIES: Final[LoadedTable] = "anomalies"


@dataclass(frozen=True)
class LoadedAnomalies:
    """What a load did.

    Attributes:
        rows: by hour that was loaded.
        kinds: changes by kind.
        lineage: anomalies that were followed by others, or by none.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    kinds: Mapping[str, int] = field(default_factory=dict)
    lineage: int = 0


def load_anomalies(
    lake: Lake, postgres_url: str, run_id: str | None, by_rules: Collection[str] = ()
) -> LoadedAnomalies:
    """Replaces the hours whose anomalies differ from those of the lake.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        run_id: the run that loads.
        by_rules: hours whose rules have changed: what differs in them is so because of that, for
            the lineage; elsewhere late messages are the cause.
    """
    table = lake.find(ANOMALIES)
    if table is None:
        return LoadedAnomalies()
    marks = stale_hours(table, postgres_url, "anomalies")
    if not marks:
        return LoadedAnomalies()
    hours = sorted(marks)
    rows = table.read_files(table.files_of(hours))
    found = Changes(*([pl.DataFrame()] * 3))

    def note(connection: psycopg.Connection) -> None:
        nonlocal found
        before = _known(connection, hours)
        found = changes(before, rows.select(KNOWN_SCHEMA.names()))
        lineage = found.lineage.join(_causes(before, by_rules), on="old_id", how="left")
        _note(connection, found, rows, lineage, run_id)

    entries = loaded_entries("anomalies", marks, rows, run_id)
    replace_hours(postgres_url, {ANOMALIES: rows}, hours, entries, before=note)
    kinds = dict(found.events.group_by("kind").len().sort("kind").iter_rows())
    return LoadedAnomalies(
        {entry.event_hour: entry.rows or 0 for entry in entries}, kinds, found.lineage.height
    )


def _known(connection: psycopg.Connection, hours: Sequence[str]) -> pl.DataFrame:
    columns = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, KNOWN_SCHEMA))
    statement = psycopg.sql.SQL("select {} from warehouse.anomalies where {}")
    found = connection.execute(statement.format(columns, hours_predicate(hours))).fetchall()
    return pl.DataFrame(found, schema=KNOWN_SCHEMA, orient="row")


def _causes(before: pl.DataFrame, by_rules: Collection[str]) -> pl.DataFrame:
    """Why anomalies that are gone are so, by the hour in which they began."""
    hour = pl.col("started_at").dt.strftime("%Y-%m-%dT%H")
    cause = pl.when(hour.is_in(list(by_rules))).then(pl.lit("rules")).otherwise(pl.lit("late"))
    return before.select(old_id="anomaly_id", cause=cause)


def _note(
    connection: psycopg.Connection,
    found: Changes,
    rows: pl.DataFrame,
    lineage: pl.DataFrame,
    run_id: str | None,
) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            _LINEAGE,
            [row | {"run_id": run_id} for row in lineage.to_dicts()],
        )
        cursor.executemany(_FOLLOW, found.follows.to_dicts())
        cursor.executemany(_CHANGE, list(_events(found, rows)))


def _events(found: Changes, rows: pl.DataFrame) -> Iterable[dict[str, Any]]:
    """What is to be published, in order of onset."""
    successors: dict[str, list[str]] = {}
    for old, new in found.lineage.drop_nulls("new_id").select("old_id", "new_id").iter_rows():
        successors.setdefault(old, []).append(new)
    told = found.events.join(rows, on="anomaly_id", how="left").sort("started_at", "anomaly_id")
    for row in told.iter_rows(named=True):
        anomaly_id, kind, is_gone = (row.pop(name) for name in ("anomaly_id", "kind", "is_gone"))
        payload: dict[str, Any] = {"anomaly_id": anomaly_id, "change": kind}
        if is_gone:
            payload |= {"withdrawn": True, "followed_by": successors.get(anomaly_id, [])}
        else:
            payload |= {name: _plain(name, value) for name, value in row.items()}
        yield {"anomaly_id": anomaly_id, "kind": kind, "payload": json.dumps(payload)}


def _plain(name: str, value: Any) -> Any:
    if name in ("evidence", "severity_history"):
        return json.loads(value)
    return value.isoformat() if hasattr(value, "isoformat") else value


_LINEAGE = """
insert into warehouse.anomaly_lineage (old_id, new_id, overlap_seconds, revision, cause, run_id)
values (%(old_id)s, %(new_id)s, %(overlap_seconds)s, %(revision)s, %(cause)s, %(run_id)s)
"""
_FOLLOW = """
update warehouse.anomaly_feedback set current_id = %(new_id)s where current_id = %(old_id)s
"""
_CHANGE = """
insert into warehouse.anomaly_changes (anomaly_id, kind, payload)
values (%(anomaly_id)s, %(kind)s, %(payload)s)
"""
