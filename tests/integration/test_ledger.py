"""The ledger on a real PostgreSQL: back-off, what the marts still lack, hours to re-queue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from installation import Installation
from warehouse_data import fresh_warehouse, outcomes, query, vehicle

from fleet_assets.warehouse.ledger import LedgerEntry, read_ledger, record, record_failure
from fleet_assets.warehouse.load import replace_hours
from fleet_assets.warehouse.staleness import hours_to_requeue, mark_marts, pending_marts
from fleet_assets.warehouse.vehicles import import_vehicles

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

HOUR, NEXT = "2026-01-01T05", "2026-01-01T06"


@pytest.fixture
def warehouse(services: Installation, request: pytest.FixtureRequest) -> str:
    return fresh_warehouse(services, request.node.name[:60].lower())


def test_failures_wait_twice_as_long_each_time_until_a_success(warehouse: str) -> None:
    record(warehouse, [LedgerEntry("telemetry", HOUR, 3, rows=10, run_id="a")])
    before = read_ledger(warehouse, "telemetry", [HOUR])[0]
    waits = []
    for _ in range(8):
        record_failure(warehouse, "telemetry", [HOUR], "bad rows", "b")
        entry = read_ledger(warehouse, "telemetry", [HOUR])[0]
        assert entry.next_attempt_at
        waits.append(round((entry.next_attempt_at - datetime.now(UTC)) / timedelta(seconds=30)))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert (entry.state, entry.attempts, entry.detail) == ("failed", 8, "bad rows")
    assert (entry.processed_version, entry.processed_at) == (3, before.processed_at)

    record(warehouse, [LedgerEntry("telemetry", HOUR, 4)])
    entry = read_ledger(warehouse, "telemetry", [HOUR])[0]
    assert (entry.state, entry.attempts, entry.next_attempt_at) == ("fresh", 0, None)
    assert entry.first_processed_at == before.first_processed_at
    assert entry.processed_at
    assert before.processed_at
    assert entry.processed_at > before.processed_at


def test_entries_can_be_asked_for_by_stage_and_hour(warehouse: str) -> None:
    record(
        warehouse,
        [
            LedgerEntry("telemetry", HOUR, 1),
            LedgerEntry("telemetry", NEXT, 1),
            LedgerEntry("warehouse", HOUR, 1),
        ],
    )
    assert len(read_ledger(warehouse)) == 3
    assert [entry.event_hour for entry in read_ledger(warehouse, "telemetry")] == [HOUR, NEXT]
    assert [entry.stage for entry in read_ledger(warehouse, hours=[HOUR])] == [
        "telemetry",
        "warehouse",
    ]
    assert read_ledger(warehouse, hours=[]) == []
    with pytest.raises(ValueError, match="processed_version"):
        record(warehouse, [LedgerEntry("telemetry", HOUR)])


def test_marts_are_pending_until_they_show_the_newest_load(warehouse: str) -> None:
    hours = [HOUR, NEXT]
    record(warehouse, [LedgerEntry("warehouse", hour, 1) for hour in hours])
    assert pending_marts(warehouse) == hours
    mark_marts(warehouse, read_ledger(warehouse, "warehouse"))
    assert pending_marts(warehouse) == []

    record(warehouse, [LedgerEntry("warehouse", HOUR, 2)])  # a newer version
    record(warehouse, [LedgerEntry("warehouse", NEXT, 1)])  # the same version, loaded again
    assert pending_marts(warehouse) == hours

    seen = read_ledger(warehouse, "warehouse")
    record(warehouse, [LedgerEntry("warehouse", HOUR, 2)])  # loaded while dbt runs
    mark_marts(warehouse, seen)
    assert pending_marts(warehouse) == [HOUR]


def test_hours_that_were_never_loaded_are_not_marked_when_all_marts_are_rebuilt(
    warehouse: str,
) -> None:
    record(warehouse, [LedgerEntry("warehouse", HOUR, 1)])
    record(warehouse, [LedgerEntry("warehouse", NEXT, state="withheld", detail="check failed")])
    mark_marts(warehouse, read_ledger(warehouse, "warehouse"))
    assert [entry.event_hour for entry in read_ledger(warehouse, "marts")] == [HOUR]


def test_failed_and_withheld_hours_do_not_reach_the_marts(warehouse: str) -> None:
    record(warehouse, [LedgerEntry("warehouse", hour, 1) for hour in (HOUR, NEXT)])
    record_failure(warehouse, "warehouse", [HOUR], "no disk")
    record(warehouse, [LedgerEntry("warehouse", NEXT, state="withheld", detail="check failed")])
    assert pending_marts(warehouse) == []
    record(warehouse, [LedgerEntry("warehouse", hour, 1) for hour in (HOUR, NEXT)])
    assert pending_marts(warehouse) == [HOUR, NEXT]


def test_hours_whose_dbt_run_failed_come_back_when_they_are_due(warehouse: str) -> None:
    record(warehouse, [LedgerEntry("warehouse", HOUR, 1)])
    record_failure(warehouse, "marts", [HOUR], "dbt failed")
    assert pending_marts(warehouse) == []
    query(
        warehouse,
        "update warehouse.stage_ledger set next_attempt_at = now() where stage = 'marts' "
        "returning 1",
    )
    assert pending_marts(warehouse) == [HOUR]


def test_registering_a_vehicle_makes_its_hours_stale_until_they_are_refreshed(
    warehouse: str,
) -> None:
    unknown = outcomes(HOUR, {"T-1": {"reasons": {"unknown_vehicle": 5}}, "T-2": {"accepted": 1}})
    replace_hours(warehouse, unknown, [HOUR])
    import_vehicles(warehouse, [vehicle(2)], "a.csv")
    assert hours_to_requeue(warehouse) == set()
    import_vehicles(warehouse, [vehicle(1)], "b.csv")
    assert hours_to_requeue(warehouse) == {HOUR}
    replace_hours(warehouse, outcomes(HOUR, {"T-1": {"accepted": 5}}), [HOUR])
    assert hours_to_requeue(warehouse) == set()
