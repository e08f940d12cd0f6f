"""What people say of anomalies, and looking anomalies up as they are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl
from psycopg.rows import dict_row

from fleet_assets.errors import FleetError
from fleet_assets.lake.incidents import SAID_SCHEMA
from fleet_assets.warehouse.connection import connect

_LEAST: Final = 6
"""Fewest characters of an id that may stand for it."""


@dataclass(frozen=True)
class Wanted:
    """Which anomalies are wanted; None: all."""

    vehicle_id: str | None = None
    anomaly_type: str | None = None
    severity: str | None = None
    state: str | None = None
    since: datetime | None = None
    limit: int = 50


def find_anomalies(postgres_url: str, wanted: Wanted) -> list[dict[str, Any]]:
    """Anomalies, the newest onset first, each with what was said of it last."""
    return _rows(postgres_url, _LIST, vars(wanted))


def anomaly(postgres_url: str, given: str) -> dict[str, Any]:
    """One anomaly by its id or the beginning of it; an id that was replaced finds what followed.

    Raises:
        FleetError: there is none, or several begin like this.
    """
    if len(given) < _LEAST or not set(given) <= set("0123456789abcdef"):
        raise FleetError(
            f"{given!r} is no id of an anomaly: give its first {_LEAST} characters or more;"
            " `fleet anomalies list` shows them."
        )
    found = _rows(postgres_url, _ONE, {"like": f"{given}%"})
    if len(found) > 1:
        raise FleetError(f"{len(found)} anomalies begin with {given}: give more of the id.")
    if found:
        return found[0]
    followers = _rows(postgres_url, _FOLLOWERS, {"like": f"{given}%"})
    if not followers:
        raise FleetError(f"There is no anomaly {given}; `fleet anomalies list` shows them.")
    follower = followers[0]["new_id"]
    if follower is None:
        raise FleetError(
            f"Nothing is left of the anomaly {given}: {followers[0]['cause']} data or rules have"
            " changed its history."
        )
    return anomaly(postgres_url, str(follower))


def lineage(postgres_url: str, anomaly_id: str) -> Sequence[dict[str, Any]]:
    """What an anomaly followed, and what followed it, the newest first."""
    return _rows(postgres_url, _LINEAGE, {"id": anomaly_id})


def feedback(postgres_url: str, anomaly_id: str) -> Sequence[dict[str, Any]]:
    """All that was said of an anomaly and of those that it followed, the newest first."""
    return _rows(postgres_url, _FEEDBACK, {"id": anomaly_id})


def all_said(postgres_url: str) -> pl.DataFrame:
    """All that was said of anomalies, as they were then: rows of `incidents.SAID_SCHEMA`."""
    rows = [tuple(row.values()) for row in _rows(postgres_url, _SAID, {})]
    return pl.DataFrame(rows, schema=SAID_SCHEMA, orient="row")


def mark(
    postgres_url: str, given: str, *, is_true: bool, note: str | None, marked_by: str
) -> dict[str, Any]:
    """Says that an anomaly is true or false; earlier words stay.

    Returns:
        The anomaly.

    Raises:
        FleetError: there is no such anomaly.
    """
    found = anomaly(postgres_url, given)
    values = found | {"is_true": is_true, "note": note, "marked_by": marked_by}
    with connect(postgres_url) as connection:
        connection.execute(_MARK, values)
    return found


def _rows(postgres_url: str, statement: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    with connect(postgres_url) as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, given).fetchall()


_VERDICT = """
left join lateral (
    select given.is_true as marked_true, given.note as marked_note
    from warehouse.anomaly_feedback as given
    where
        given.current_id = a.anomaly_id
        or (given.current_id is null and given.anomaly_id = a.anomaly_id)
    order by given.feedback_id desc
    limit 1
) as verdict on true
"""
_LIST = f"""
select a.*, verdict.marked_true, verdict.marked_note
from warehouse.anomalies as a {_VERDICT}
where
    (%(vehicle_id)s::text is null or a.vehicle_id = %(vehicle_id)s)
    and (%(anomaly_type)s::text is null or a.anomaly_type = %(anomaly_type)s)
    and (%(severity)s::text is null or a.severity = %(severity)s)
    and (%(state)s::text is null or a.state = %(state)s)
    and (%(since)s::timestamptz is null or a.started_at >= %(since)s)
order by a.started_at desc, a.anomaly_id
limit %(limit)s
"""
_ONE = f"""
select a.*, verdict.marked_true, verdict.marked_note
from warehouse.anomalies as a {_VERDICT}
where a.anomaly_id like %(like)s
limit 5
"""
_FOLLOWERS = """
select new_id, cause from warehouse.anomaly_lineage where old_id like %(like)s
order by lineage_id desc, overlap_seconds desc
limit 1
"""
_LINEAGE = """
select noted_at, old_id, new_id, overlap_seconds, revision, cause
from warehouse.anomaly_lineage
where old_id = %(id)s or new_id = %(id)s
order by lineage_id desc
"""
_FEEDBACK = """
select marked_at, marked_by, is_true, note, anomaly_id
from warehouse.anomaly_feedback
where current_id = %(id)s or (current_id is null and anomaly_id = %(id)s)
order by feedback_id desc
"""
_SAID = f"""
select {", ".join(SAID_SCHEMA)} from warehouse.anomaly_feedback
order by feedback_id
"""
_MARK = """
insert into warehouse.anomaly_feedback (
    marked_by, anomaly_id, current_id, is_true, note, vehicle_id, rule_id, condition, started_at,
    ended_at
)
values (
    %(marked_by)s, %(anomaly_id)s, %(anomaly_id)s, %(is_true)s, %(note)s, %(vehicle_id)s,
    %(rule_id)s, %(condition)s, %(started_at)s, %(ended_at)s
)
"""
