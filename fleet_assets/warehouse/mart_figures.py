"""Which figures of the marts are followed, so that a change of history can be told.

What belongs here: marts, their days and measures as data, and the statements that add them up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, LiteralString

import psycopg
from psycopg import sql

from fleet_assets.warehouse.load import hours_predicate
from fleet_assets.warehouse.mart_marks import Topic
from partitions.hours import hour_start
from partitions.local_days import hours_of_local_days, local_days_of


@dataclass(frozen=True)
class FollowedMart:
    """A mart with days.

    Attributes:
        name: in the schema `marts`.
        day: its column of days.
        is_local: they are days of the vehicle's time zone, not of UTC.
        fleet: expression of the fleet; null where rows have none.
        measures: expression by name; `rows` is there in any case.
        follows: what marks the hours that it is made anew for, which is also the stage of the
            ledger that loads it; None: the hours that are loaded.
        by_hour: it is partitioned by `hour_start`.
        open_rows: how many of its rows may still grow by themselves; None: not known.
        over_with: mart whose rows have to be closed before a day counts as over; None: none.
    """

    name: str
    day: LiteralString
    is_local: bool
    fleet: LiteralString
    measures: Mapping[LiteralString, LiteralString]
    follows: Topic | None = None
    by_hour: bool = False
    open_rows: LiteralString | None = None
    over_with: LiteralString | None = None

    @property
    def figures(self) -> dict[LiteralString, LiteralString]:
        """Expression of each figure that is noted."""
        grows: dict[LiteralString, LiteralString] = (
            {} if self.open_rows is None else {OPEN: self.open_rows}
        )
        return {"rows": "count(*)", **grows, **self.measures}


OPEN: Final = "open"
"""The figure that counts rows that may still grow."""
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
    # before the trips: their noted figures say whether a day was over
    FollowedMart(
        "mart_driver_days", "date_local", True, "fleet_id",
        {"trips": "sum(trips)", "scored_miles": "sum(scored_miles)",
         "penalty_points": "sum(penalty_points)"},
        follows="trips", over_with="fct_trips",
    ),
    FollowedMart(
        "fct_trips", "date_local", True, "fleet_id",
        {"distance_miles": "sum(distance_miles)", "fuel_used_gallons": "sum(fuel_used_gallons)"},
        follows="trips", by_hour=True, over_with="fct_trips",
        open_rows="count(*) filter (where state = 'open')",
    ),
    FollowedMart(
        "fct_anomalies", "date_local", True, "fleet_id",
        {"marked_true": "count(*) filter (where marked_true)",
         "marked_false": "count(*) filter (where not marked_true)"},
        follows="anomalies", by_hour=True, over_with="fct_anomalies",
        open_rows="count(*) filter (where state = 'open')",
    ),
)  # fmt: skip


def days_of(mart: FollowedMart, hours: Iterable[str]) -> list[date]:
    """Days of a mart that these hours may belong to, in order.

    >>> days_of(FOLLOWED[2], ["2026-03-02T05"])
    [datetime.date(2026, 3, 2)]
    """
    if mart.is_local:
        return local_days_of(hours)
    return sorted({hour_start(hour).date() for hour in hours})


def figures_of(mart: FollowedMart, days: Sequence[date] | None) -> sql.Composed:
    """Statement that adds up `day`, `fleet_id`, `measure` and `value` of some days; None: of all.

    A fleet's null is `(none)`.
    """
    day = sql.SQL(mart.day)
    where: sql.Composable = sql.SQL("true")
    if days is not None:
        where = sql.SQL("{} = any({})").format(day, list(days))
        if mart.by_hour:  # months of others are not looked at
            where += sql.SQL(" and ({})").format(hours_predicate(hours_of_local_days(days)))
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
            for name, how in mart.figures.items()
        ),
        pairs=sql.SQL(", ").join(
            sql.SQL("({}, {})").format(sql.Literal(name), sql.Identifier(name))
            for name in mart.figures
        ),
    )


def is_built(connection: psycopg.Connection, mart: FollowedMart) -> bool:
    """Whether dbt has made the mart yet."""
    asked = "select to_regclass(%s) is not null"
    found = connection.execute(asked, [f"marts.{mart.name}"]).fetchone()
    return bool(found and found[0])
