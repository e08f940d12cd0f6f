"""A table written under an older contract gains the columns of the present one, and only those."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from unittest.mock import patch

import polars as pl
import pytest
from deltalake import DeltaTable
from telemetry_data import HOUR

from fleet_assets.contracts.table import Column, Table
from fleet_assets.contracts.tables import TABLE_BY_NAME, VEHICLE_HOURS
from fleet_assets.errors import FleetError
from fleet_assets.lake.evolution import bring_up_to
from fleet_assets.lake.sql import ask
from fleet_assets.lake.store import Lake, TableSnapshot

NAME = "vehicle_hours"
KEEP = ("event_hour", "vehicle_id", "messages", "seconds_seen")
OLD = replace(VEHICLE_HOURS, columns=tuple(c for c in VEHICLE_HOURS.columns if c.name in KEEP))
ADDED = (
    Column("harsh", pl.Int64(), "A count.", "messages", minimum=0, default=7),
    Column("lat", pl.Decimal(8, 6), "A position.", "degrees", nullable=True),
    Column("codes", pl.List(pl.String()), "Codes.", nullable=True),
    Column("kind", pl.String(), "A word.", default="it's plain"),
)
NEW = replace(OLD, columns=(OLD.columns[0], *ADDED, *OLD.columns[1:]))
OLD_ROW = {"event_hour": HOUR, "vehicle_id": "v1", "messages": 3, "seconds_seen": 1.5}
NEW_ROW = OLD_ROW | {"vehicle_id": "v2", "harsh": 1, "lat": "1.5", "codes": ["P1"], "kind": "odd"}
IN_THE_END = [
    (HOUR, 7, None, None, "it's plain", "v1", 3, 1.5),
    (HOUR, 1, "1.500000", ["P1"], "odd", "v2", 3, 1.5),
]


@contextmanager
def contract(table: Table) -> Iterator[None]:
    with patch.dict(TABLE_BY_NAME, {NAME: table}):
        yield


def frame(table: Table, *rows: dict[str, object]) -> pl.DataFrame:
    schema = table.polars_schema
    return pl.DataFrame(rows, schema=dict.fromkeys(schema)).cast(schema)


def write(lake: Lake, table: Table, *rows: dict[str, object]) -> None:
    with contract(table):
        opened = lake.open(NAME)
        opened.commit_files({HOUR: [frame(table, *rows)]}, opened.files.clear(), {})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake whose table was written under the old contract."""
    lake = Lake(str(tmp_path / "lake"))
    write(lake, OLD, OLD_ROW)
    return lake


def snapshot(lake: Lake) -> TableSnapshot:
    found = lake.find(NAME)
    assert found is not None
    return found


def shown(rows: pl.DataFrame) -> list[tuple[object, ...]]:
    return rows.sort("vehicle_id").with_columns(pl.col("lat").cast(pl.String)).rows()


def test_old_rows_hold_null_or_the_default_beside_new_ones(lake: Lake) -> None:
    write(lake, NEW, NEW_ROW)
    with contract(NEW):
        assert shown(lake.open(NAME).read()) == IN_THE_END
        assert shown(lake.open(NAME).read(where=pl.col("harsh") == 7)) == IN_THE_END[:1]
        table = lake.open(NAME)
        table.commit_files({HOUR: [table.read()]}, table.files, {})
        assert shown(lake.open(NAME).read(HOUR)) == IN_THE_END


@pytest.mark.parametrize("rewritten", [False, True], ids=["as written", "compacted"])
def test_sql_sees_the_same(lake: Lake, rewritten: bool) -> None:
    write(lake, NEW, NEW_ROW)
    if rewritten:
        snapshot(lake).delta.optimize.compact()
    query = f"SELECT {', '.join(NEW.names)} FROM {NAME} WHERE harsh > 0"
    with contract(NEW), ask(lake, query) as answer:
        assert shown(answer.pl()) == IN_THE_END


@pytest.mark.parametrize("written", [False, True], ids=["old rows only", "new rows too"])
def test_sql_through_arrow_as_for_object_stores_sees_the_same(lake: Lake, written: bool) -> None:
    if written:
        write(lake, NEW, NEW_ROW)
    query = f"FROM {NAME} ORDER BY vehicle_id"
    with contract(NEW), patch("fleet_assets.lake.sql._is_local", return_value=False):  # noqa: SIM117
        with ask(lake, query) as answer:
            assert shown(answer.pl()) == IN_THE_END[: 1 + written]


def test_readers_see_the_columns_and_leave_no_trace(lake: Lake) -> None:
    before = snapshot(lake).version
    with contract(NEW):
        assert shown(snapshot(lake).read()) == IN_THE_END[:1]
        with ask(lake, f"FROM {NAME}") as answer:
            assert shown(answer.pl()) == IN_THE_END[:1]
    assert snapshot(lake).version == before


def test_what_is_up_to_date_is_not_touched(lake: Lake) -> None:
    with contract(NEW):
        version = lake.open(NAME).version
        assert lake.open(NAME).version == version
        fresh = Lake(lake.url + "-other")
        assert fresh.open(NAME).version == fresh.open(NAME).version == 0


def test_properties_reach_tables_that_exist(lake: Lake) -> None:
    delta = snapshot(lake).delta
    bring_up_to(delta, OLD, {"delta.appendOnly": "false"})
    configuration = snapshot(lake).delta.metadata().configuration
    assert configuration["delta.appendOnly"] == "false"
    assert "delta.dataSkippingStatsColumns" in configuration


def test_whoever_comes_second_finds_the_columns_there(lake: Lake) -> None:
    first, second = snapshot(lake).delta, snapshot(lake).delta
    bring_up_to(first, NEW, {})
    bring_up_to(second, NEW, {})
    assert second.version() == first.version()
    assert len(second.schema().fields) == len(NEW.columns)


def test_many_at_once_end_in_one_schema(lake: Lake) -> None:
    start = Barrier(8)

    def opened(_: int) -> list[str]:
        delta = DeltaTable(lake.uri(NAME))
        start.wait()
        return [f.name for f in bring_up_to(delta, NEW, {}).schema().fields]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(opened, range(8)))
    assert all(sorted(names) == sorted(NEW.names) for names in found)
    write(lake, NEW, NEW_ROW)
    with contract(NEW):
        assert shown(lake.open(NAME).read()) == IN_THE_END


def test_a_writer_on_the_old_schema_still_adds_its_rows(lake: Lake) -> None:
    old = snapshot(lake)
    with contract(NEW):
        lake.open(NAME)
    row = OLD_ROW | {"vehicle_id": "v9"}
    stale = replace(old, contract=OLD)
    stale.commit_files({HOUR: [frame(OLD, row)]}, stale.files.clear(), {"app": 1})
    with contract(NEW):
        assert lake.open(NAME).read()["vehicle_id"].sort().to_list() == ["v1", "v9"]


def test_a_column_may_become_nullable(lake: Lake) -> None:
    columns = tuple(replace(c, nullable=c.name == "messages" or c.nullable) for c in OLD.columns)
    relaxed = replace(OLD, columns=columns)
    write(lake, relaxed, OLD_ROW | {"vehicle_id": "v2", "messages": None})
    with contract(relaxed):
        assert sorted(lake.open(NAME).read()["messages"].to_list(), key=str) == [3, None]


OTHER_TYPE = replace(
    OLD,
    columns=tuple(
        replace(c, dtype=pl.String()) if c.name == "messages" else c for c in OLD.columns
    ),
)
NO_DEFAULT = replace(OLD, columns=(*OLD.columns, replace(ADDED[0], default=None)))


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (replace(OLD, columns=OLD.columns[:-1]), "seconds_seen.*never removed"),
        (OTHER_TYPE, "messages is long in the lake, but string in its contract"),
        (NO_DEFAULT, "harsh is new .* give the column a default"),
    ],
    ids=["removed", "other type", "no default"],
)
def test_a_contradiction_is_refused_in_one_line(lake: Lake, table: Table, told: str) -> None:
    before = snapshot(lake).version
    with contract(table), pytest.raises(FleetError, match=told) as error:
        lake.open(NAME)
    assert "\n" not in str(error.value)
    assert snapshot(lake).version == before


def test_readers_refuse_another_type_too(lake: Lake) -> None:
    with contract(OTHER_TYPE), pytest.raises(FleetError, match="types never change"):
        lake.find(NAME)
