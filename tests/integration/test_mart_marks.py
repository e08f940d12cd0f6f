"""Tables of trips and findings mark what marts have to be made anew, whoever changes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from installation import Installation
from warehouse_data import contract_rows, fresh_warehouse, vehicle

from fleet_assets.warehouse.anomaly_feedback import mark
from fleet_assets.warehouse.ledger import LedgerEntry, record
from fleet_assets.warehouse.load import replace_hours
from fleet_assets.warehouse.mart_marks import (
    TOPICS,
    hours_with_marks,
    remove_marks,
    take_marks,
)
from fleet_assets.warehouse.vehicles import import_vehicles
from partitions.hours import hour_key, hour_start

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

FIRST, SECOND, THIRD = "2026-01-05T08", "2026-01-05T12", "2026-01-05T18"


@pytest.fixture
def url(services: Installation, request: pytest.FixtureRequest) -> str:
    return fresh_warehouse(services, request.node.name[:50])


def load_trip(url: str, hour: str, minutes: int, *, fuel: float | None = 50.0) -> None:
    start = hour_start(hour) + timedelta(minutes=10)
    row = {
        "event_hour": hour, "vehicle_id": "T-1", "trip_id": hour, "trip_kind": "motion",
        "state": "closed", "started_at": start, "ended_at": start + timedelta(minutes=minutes),
        "samples": 9, "fuel_end_percent": fuel,
    }  # fmt: skip
    replace_hours(url, {"trips": contract_rows("trips", row)}, [hour], [])


def load_anomaly(url: str, hour: str) -> None:
    start = hour_start(hour) + timedelta(minutes=30)
    row = {
        "event_hour": hour, "vehicle_id": "T-1", "anomaly_id": "abcdef12", "finding_id": "abcdef12",
        "anomaly_type": "harsh_braking", "condition": "R06", "rule_id": "R06", "severity": "high",
        "severity_history": "[]", "evidence": "{}", "confidence": 1.0, "state": "closed",
        "source": "rule", "started_at": start, "ended_at": start, "detected_at": start,
    }  # fmt: skip
    replace_hours(url, {"anomalies": contract_rows("anomalies", row)}, [hour], [])


def taken(url: str) -> dict[str, list[str]]:
    """What waits, which is removed."""
    marks = take_marks(url)
    remove_marks(url, marks)
    return {topic: hours for topic, hours in marks.hours.items() if hours}


def test_a_trip_marks_its_hours_and_the_stops_after_it(url: str) -> None:
    load_trip(url, FIRST, minutes=100)
    through = [FIRST, "2026-01-05T09"]
    assert taken(url) == {"trips": [FIRST], "fuel_events": [FIRST], "anomalies": through}
    load_trip(url, SECOND, minutes=1, fuel=None)
    load_trip(url, THIRD, minutes=1)
    taken(url)
    load_trip(url, FIRST, minutes=20)
    assert taken(url)["fuel_events"] == [FIRST, SECOND, THIRD], "the second knows no level"
    load_trip(url, SECOND, minutes=1)
    taken(url)
    load_trip(url, FIRST, minutes=20)
    assert taken(url)["fuel_events"] == [FIRST, SECOND]


def test_findings_and_what_is_said_of_them_mark_their_trip(url: str) -> None:
    load_trip(url, FIRST, minutes=300)
    taken(url)
    load_anomaly(url, SECOND)
    both: dict[str, Any] = {"anomalies": [SECOND], "trips": [FIRST]}
    assert taken(url) == both
    mark(url, "abcdef12", is_true=False, note=None, marked_by="me")
    found = taken(url)
    assert set(found["anomalies"]) >= {SECOND}
    assert set(found["trips"]) >= {FIRST}
    with psycopg.connect(url) as connection:
        connection.execute("delete from warehouse.anomalies")
    assert taken(url) == both


def test_a_change_of_a_vehicle_marks_hours_that_begin_later(url: str) -> None:
    import_vehicles(url, [vehicle(1, fleet_id="north")], "test")
    assert taken(url) == {}
    with psycopg.connect(url) as connection:
        (now,) = connection.execute("select clock_timestamp()").fetchone() or (None,)
        assert now is not None
        hours = [hour_key(now + timedelta(hours=number)) for number in (-2, 1)]
        entries = [LedgerEntry("trips", hour, processed_version=1) for hour in hours]
        record(connection, entries)
    import_vehicles(url, [vehicle(1, fleet_id="south")], "test")
    assert taken(url) == dict.fromkeys(TOPICS, hours[1:])


def test_marks_that_come_during_a_build_stay_and_ask_for_another(url: str) -> None:
    load_trip(url, FIRST, minutes=1)
    seen = take_marks(url)
    load_trip(url, FIRST, minutes=2)
    remove_marks(url, seen)
    assert hours_with_marks(url) == [], "no hour is loaded"
    record(url, [LedgerEntry("warehouse", hour, processed_version=1) for hour in (FIRST, SECOND)])
    assert hours_with_marks(url) == [SECOND]
    assert taken(url)["trips"] == [FIRST]
    assert hours_with_marks(url) == []
