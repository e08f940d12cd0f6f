"""Which figures of the marts are followed, so that a change of history can be told.

What belongs here: marts, their days and measures as data, and the statements that add them up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, LiteralString

import psycopg
from psycopg import sql

from partitions.hours import hour_start

BEHIND: Final = timedelta(hours=12)
AHEAD: Final = timedelta(hours=14)
"""How far the clocks of the world are from UTC."""


@dataclass(frozen=True)
class FollowedMart:
    """A mart with days.

    Attributes:
        name: in the schema `marts`.
        day: its column of days.
        is_local: they are days of the vehicle's time zone, not of UTC.
        fleet: expression of the fleet; null where rows have none.
        measures: expression by name; `rows` is there in any case.
    """

    name: str
    day: LiteralString
    is_local: bool
    fleet: LiteralString
    measures: Mapping[LiteralString, LiteralString]


_USE: Final[dict[LiteralString, LiteralString]] = {
    "distance_miles": "sum(distance_miles)",
    "engine_seconds": "sum(engine_seconds)",
    "idle_seconds": "sum(idle_seconds)",
    "fuel_used_gallons": "sum(fuel_used_gallons)",
}
FOLLOWED: Final = (
    FollowedMart(
        "fct_vehicle_days", "date_local", True, "fleet_id", {"messages": "sum(messages)", **_USE}
    ),
    FollowedMart(
        "mart_fleet_days", "date_local", True, "fleet_id",
        {"vehicles_seen": "sum(vehicles_seen)", **_USE},
    ),
    FollowedMart(
        "mart_data_quality", "date_utc", False, "null::text",
        {"read": "sum(read)", "accepted": "sum(accepted)", "rejected": "sum(rejected)"},
    ),
)  # fmt: skip


def days_of(mart: FollowedMart, hours: Iterable[str]) -> list[date]:
    """Days of a mart that these hours may belong to, in order.

    >>> days_of(FOLLOWED[2], ["2026-03-02T05"])
    [datetime.date(2026, 3, 2)]
    """
    found: set[date] = set()
    for hour in hours:
        start = hour_start(hour)
        first, last = start, start + timedelta(minutes=59)
        if mart.is_local:
            first, last = start - BEHIND, last + AHEAD
        found |= {first.date() + timedelta(n) for n in range((last.date() - first.date()).days + 1)}
    return sorted(found)


def figures_of(mart: FollowedMart, days: list[date] | None) -> sql.Composed:
    """Statement that adds up `day`, `fleet_id`, `measure` and `value` of some days; None: of all.

    A fleet's null is `(none)`.
    """
    measures = {"rows": "count(*)", **mart.measures}
    day = sql.SQL(mart.day)
    where = sql.SQL("true") if days is None else sql.SQL("{} = any({})").format(day, days)
    return sql.SQL(
        "select day, fleet_id, measure, value from ("
        " select {day} as day, coalesce({fleet}, '(none)') as fleet_id, {sums}"
        " from {mart} where {where} group by 1, 2"
        ") as summed cross join lateral (values {pairs}) as each (measure, value)"
    ).format(
        day=day,
        fleet=sql.SQL(mart.fleet),
        mart=sql.Identifier("marts", mart.name),
        where=where,
        sums=sql.SQL(", ").join(
            sql.SQL("({})::double precision as {}").format(sql.SQL(how), sql.Identifier(name))
            for name, how in measures.items()
        ),
        pairs=sql.SQL(", ").join(
            sql.SQL("({}, {})").format(sql.Literal(name), sql.Identifier(name)) for name in measures
        ),
    )


def is_built(connection: psycopg.Connection, mart: FollowedMart) -> bool:
    """Whether dbt has made the mart yet."""
    asked = "select to_regclass(%s) is not null"
    found = connection.execute(asked, [f"marts.{mart.name}"]).fetchone()
    return bool(found and found[0])
