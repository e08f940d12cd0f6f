"""Which days of history a build changed, by how much, because of what; and as of when marts are."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest
from installation import Installation
from shown_marts import STILL_FILLS, ShownMarts
from warehouse_data import fresh_warehouse, query, vehicle, vehicle_hours

from fleet_assets.warehouse.ledger import LedgerEntry
from fleet_assets.warehouse.load import LoadedTable, replace_hours
from fleet_assets.warehouse.mart_revisions import begin_build, warehouse_clock
from fleet_assets.warehouse.retention_actions import RetentionAction, note_actions
from fleet_assets.warehouse.vehicles import import_vehicles
from partitions.hours import hour_key

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

OLD, OTHER = "2026-01-31T12", "2026-02-03T12"
AS_OF = "select as_of, is_consistent, building_since from marts.mart_as_of"


@pytest.fixture(scope="module")
def marts(services: Installation, tmp_path_factory: pytest.TempPathFactory) -> ShownMarts:
    """Two old hours, shown."""
    url = fresh_warehouse(services, "mart_revisions")
    made = ShownMarts(url, tmp_path_factory.mktemp("dbt"))
    fleets = [vehicle(1, fleet_id="north"), vehicle(2, fleet_id="south")]
    import_vehicles(url, fleets, "test.csv")
    made.load(OLD, 10)
    made.load(OTHER, 20)
    assert made.build() == 0, "what is shown for the first time is no revision"
    return made


def test_the_second_build_makes_no_view_seed_or_dimension_anew(marts: ShownMarts) -> None:
    asked = "select relation, made_at from warehouse.dbt_relations order by relation"
    first = query(marts.url, asked)
    assert {"marts.dim_vehicles", "marts.fct_trips", "marts.idling_costs"} <= dict(first).keys()
    marts.build()
    assert query(marts.url, asked) == first


def test_late_messages_revise_their_day(marts: ShownMarts) -> None:
    marts.load(OLD, 15)
    assert marts.build() == 3  # messages of the day, read and accepted of the accounts
    day = date(2026, 1, 31)
    assert marts.revisions("fct_vehicle_days") == [
        (day, "north", "messages", 10.0, 15.0, 5.0, "late", [OLD])
    ]
    assert marts.revisions("mart_data_quality") == [
        (day, "(none)", name, 10.0, 15.0, 5.0, "late", [OLD]) for name in ("accepted", "read")
    ]
    assert marts.revisions("mart_fleet_days") == []
    marts.forget()


def test_a_load_that_changes_nothing_and_a_full_rebuild_revise_nothing(marts: ShownMarts) -> None:
    marts.load(OLD, 15)
    assert marts.build() == 0
    assert marts.build(everything=True) == 0
    assert marts.revisions("fct_vehicle_days") == []


def test_an_hour_that_fills_grows(marts: ShownMarts) -> None:
    now = hour_key(datetime.now(UTC).replace(minute=0, second=0, microsecond=0))
    for messages in (5, 9):
        marts.load(now, messages, number=2)
        assert marts.build() == 0
    (value,) = query(
        marts.url,
        "select sum(value) from warehouse.mart_figures where mart = 'fct_vehicle_days'"
        " and measure = 'messages' and fleet_id = 'south'",
    )
    assert value == (9.0,)


def test_what_goes_and_comes_is_told_with_nulls(marts: ShownMarts) -> None:
    marts.versions += 1
    frames: dict[LoadedTable, pl.DataFrame] = {"vehicle_hours": vehicle_hours()}
    entry = LedgerEntry("warehouse", OTHER, marts.versions, rows=0)
    replace_hours(marts.url, frames, [OTHER], [entry])
    action = RetentionAction("retire", "warehouse", "vehicle_hours", 1, OTHER, OTHER)
    note_actions(marts.url, [action], "test")
    marts.build()
    gone = {row[2]: row[3:5] for row in marts.revisions("fct_vehicle_days")}
    assert gone["messages"] == (20.0, None)
    assert gone["rows"] == (1.0, None)
    assert {row[6] for row in marts.revisions("fct_vehicle_days")} == {"retention"}
    marts.forget()
    marts.load(OTHER, 20)
    marts.build()
    came = {row[2]: row[3:5] for row in marts.revisions("fct_vehicle_days")}
    assert came["messages"] == (None, 20.0)
    marts.forget()


def test_while_a_build_is_open_or_cut_off_marts_are_not_vouched_for(marts: ShownMarts) -> None:
    ((before, is_consistent, since),) = query(marts.url, AS_OF)
    assert (is_consistent, since) == (True, None)
    began = warehouse_clock(marts.url)
    begin_build(marts.url, began, [OLD], STILL_FILLS)  # never finished: its process is killed
    assert query(marts.url, AS_OF) == [(before, False, began)]
    marts.load(OLD, 99)
    assert marts.build() == 3
    ((after, is_consistent, since),) = query(marts.url, AS_OF)
    assert after > began > before
    assert (is_consistent, since) == (True, None)
