"""Marts against the query that dbt makes them by: its own, compiled for the days in question."""

from __future__ import annotations

import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Final

import polars as pl
import psycopg

from fleet_assets.errors import FleetError
from fleet_assets.verification.differences import Difference, difference
from fleet_assets.verification.lake_steps import Compared
from fleet_assets.warehouse.connection import open_connection
from fleet_assets.warehouse.dbt_env import (
    dbt_environment,
    marked_environment,
    touched_environment,
)
from fleet_assets.warehouse.dbt_project import PROJECT_DIR, dbt_executable
from fleet_assets.warehouse.mart_marks import MARKED, TOPICS
from fleet_assets.warehouse.staleness import UNSHOWN
from partitions.days import DAY, day_of, day_start, hours_of_day
from partitions.hours import hour_key

_DAYS: Final = ("date_local", "date_utc")
_KEYS: Final = ("event_hour", "date_local", "date_utc", "vehicle_id")
_AROUND: Final = 2 * DAY
"""So much more is compiled: of the days in between the query then has all rows."""


@dataclass(frozen=True)
class _Mart:
    name: str
    query: str
    key: Sequence[str]
    columns: Sequence[str]
    follows: Sequence[str]
    """`hours`, and topics of marks."""
    documents: Sequence[str]
    """Columns of JSON, which are compared as text."""


def mart_differences(postgres_url: str, state_dir: Path, days: Sequence[str]) -> Compared:
    """Compares marts that are built by touched windows with what a rebuild would give.

    Both sides are read in one snapshot. Days with hours or marks that wait for dbt are left out.

    Args:
        postgres_url: the warehouse.
        state_dir: a folder for what dbt keeps.
        days: keys of days (UTC; local ones of the same name).

    Raises:
        FleetError: the project does not compile.
    """
    if not days:
        return Compared()
    around = [day_start(min(days)) - _AROUND, day_start(max(days)) + _AROUND]
    hours = [
        hour
        for n in range((around[1] - around[0]) // DAY + 1)
        for hour in hours_of_day(day_of(hour_key(around[0] + n * DAY)))
    ]
    marts = _compiled(postgres_url, state_dir, hours)
    found = Compared()
    with open_connection(postgres_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        waits: dict[str, set[str]] = defaultdict(set)  # days by what a mart may follow
        for (hour,) in connection.execute(UNSHOWN).fetchall():
            waits["hours"].update(_near(hour))
        for topic, start in connection.execute(MARKED).fetchall():
            waits[topic].update(_near(hour_key(start)))
        for mart in marts:
            for day in days:
                if any(day in waits[followed] for followed in mart.follows):
                    found = found.and_(Compared(waiting=((f"marts.{mart.name}", day),)))
                    continue
                differs = _difference(connection, mart, day)
                found = found.and_(Compared(() if differs is None else (differs,), compared=1))
    return found


def _difference(connection: psycopg.Connection, mart: _Mart, day: str) -> Difference | None:
    by_hour = "hour_start" in mart.columns
    column = "hour_start" if by_hour else next(name for name in _DAYS if name in mart.columns)
    first = date.fromisoformat(day)
    kind, last = ("timestamptz", first + timedelta(days=1)) if by_hour else ("date", None)
    inside = (
        f"{column} >= '{first}T00:00:00Z'::{kind} and {column} < '{last}T00:00:00Z'::{kind}"
        if by_hour
        else f"{column} = '{first}'::{kind}"
    )
    names = ", ".join(
        f'"{name}"::text as "{name}"' if name in mart.documents else f'"{name}"'
        for name in mart.columns
    )
    stored, made = (
        _rows(connection, f"select {names} from ({source}) as found where {inside}")
        for source in (f"select * from marts.{mart.name}", mart.query)
    )
    return difference(f"marts.{mart.name}", day, stored, made, mart.key)


def _near(event_hour: str) -> list[str]:
    """Days that an hour may belong to, whatever the time zone."""
    start = day_start(day_of(event_hour))
    return [day_of(hour_key(start + n * DAY)) for n in (-1, 0, 1)]


def _rows(connection: psycopg.Connection, query: str) -> pl.DataFrame:
    cursor = connection.execute(query)
    names = [column.name for column in cursor.description or ()]
    return pl.DataFrame(cursor.fetchall(), schema=names, orient="row", infer_schema_length=None)


def _compiled(postgres_url: str, state_dir: Path, hours: Sequence[str]) -> list[_Mart]:
    """Queries of the incremental marts, restricted to what the hours touch."""
    environment = {
        **dbt_environment(postgres_url, state_dir),
        **touched_environment(hours),
        **marked_environment(dict.fromkeys(TOPICS, hours)),
    }
    done = subprocess.run(
        [dbt_executable(), "--no-use-colors", "compile", "--select",
         "config.materialized:incremental", "--project-dir", str(PROJECT_DIR),
         "--profiles-dir", str(PROJECT_DIR)],
        env={**os.environ, **environment}, text=True, capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise FleetError(f"The marts' queries cannot be compiled: {done.stdout[-1000:]}")
    manifest = json.loads((state_dir / "target" / "manifest.json").read_text())
    return [
        _Mart(
            node["name"],
            node["compiled_code"],
            _key(manifest, name, node),
            list(node["columns"]),
            node["config"]["meta"].get("follows", "hours").split("+"),
            [column for column, of in node["columns"].items() if of["data_type"] == "jsonb"],
        )
        for name, node in _in_order(manifest)
        if node["resource_type"] == "model" and node["config"]["materialized"] == "incremental"
    ]


def _in_order(manifest: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Nodes after those that they read: the first that differs is the cause."""
    nodes = manifest["nodes"]
    for name in TopologicalSorter(manifest["parent_map"]).static_order():
        if name in nodes:
            yield name, nodes[name]


def _key(manifest: Mapping[str, Any], name: str, node: Mapping[str, Any]) -> list[str]:
    """Columns that name a row: those of its test, else what usually does."""
    for test in manifest["nodes"].values():
        of = test.get("test_metadata") or {}
        if test.get("attached_node") == name and of.get("name") == "unique_combination":
            return list(of["kwargs"]["columns"])
    return [column for column in _KEYS if column in node["columns"]]
