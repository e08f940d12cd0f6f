"""Which days of trips, anomalies and drivers a build changed; and when a day is over."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from installation import Installation
from shown_marts import ShownMarts
from warehouse_data import fresh_warehouse, query, vehicle

from fleet_assets.warehouse.anomaly_feedback import mark
from fleet_assets.warehouse.vehicles import import_vehicles
from partitions.hours import hour_key, hour_start

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

RULE = """
insert into warehouse.rule_catalogue (
    rule_id, anomaly_type, title, severity, stage, rule_version, release
) values ('R18', 'over_speeding', 'a rule', 'high', 'live', 1, 1)
"""
OLD, DAY = "2026-02-03T12", date(2026, 2, 3)


def trip(miles: float, state: str = "closed") -> dict[str, Any]:
    start = hour_start(OLD)
    return {
        "vehicle_id": "T-1", "trip_id": "a", "trip_kind": "motion", "state": state,
        "started_at": start, "ended_at": start + timedelta(minutes=30), "samples": 9,
        "gps_miles": miles, "driver_id": "anna", "is_private": False,
    }  # fmt: skip


def anomaly(number: str, kind: str = "over_speeding") -> dict[str, Any]:
    start = hour_start(OLD) + timedelta(minutes=5)
    return {
        "vehicle_id": "T-1", "anomaly_id": number, "finding_id": number, "anomaly_type": kind,
        "condition": number, "rule_id": "R18", "severity": "high", "state": "closed",
        "source": "rule", "confidence": 0.5, "severity_history": '[{"rule_id": "R18"}]',
        "evidence": "{}", "started_at": start, "ended_at": start + timedelta(minutes=1),
        "detected_at": start,
    }  # fmt: skip


def told(marts: ShownMarts, mart: str) -> dict[object, tuple[object, ...]]:
    """Before, after and cause by measure, of the one day and fleet."""
    rows = marts.revisions(mart)
    assert {row[:2] for row in rows} <= {(DAY, "north")}
    return {row[2]: (row[3], row[4], row[6]) for row in rows}


@pytest.fixture(scope="module")
def marts(services: Installation, tmp_path_factory: pytest.TempPathFactory) -> ShownMarts:
    """An old hour with a trip on its way, shown."""
    made = ShownMarts(fresh_warehouse(services, "trip_revisions"), tmp_path_factory.mktemp("dbt"))
    import_vehicles(made.url, [vehicle(1, fleet_id="north")], "test.csv")
    made.load(OLD, 10)
    made.judge("trips", OLD, [trip(5.0, "open")])
    assert made.build() == 0
    return made


def test_an_anomaly_that_goes_or_is_marked_is_told(marts: ShownMarts) -> None:
    marts.judge("anomalies", OLD, [anomaly("a" * 32), anomaly("b" * 32)])
    marts.build()
    assert told(marts, "fct_anomalies") == {}, "shown for the first time"
    mark(marts.url, "a" * 32, is_true=False, note=None, marked_by="me")
    marts.build()
    assert told(marts, "fct_anomalies") == {"marked_false": (0.0, 1.0, "marks")}
    marts.forget()
    marts.judge("anomalies", OLD, [anomaly("a" * 32)])
    with psycopg.connect(marts.url) as connection:  # as load_anomalies notes it
        connection.execute(
            "insert into warehouse.anomaly_lineage (old_id, overlap_seconds, revision, cause)"
            " values (%s, 0, 1, 'rules')",
            ["b" * 32],
        )
    marts.build()
    assert told(marts, "fct_anomalies") == {"rows": (2.0, 1.0, "rules")}
    marts.forget()


def test_a_trip_on_its_way_grows_and_a_closed_one_is_revised(marts: ShownMarts) -> None:
    marts.judge("trips", OLD, [trip(8.0, "open")])
    assert marts.build() == 0
    marts.judge("trips", OLD, [trip(10.0)])
    assert marts.build() == 0, "it has ended by itself"
    marts.load(OLD, 15)
    marts.judge("trips", OLD, [trip(12.0)])
    marts.build()
    assert told(marts, "fct_trips") == {"distance_miles": (10.0, 12.0, "late")}
    marts.forget()


def test_other_weights_make_all_driver_days_anew_and_are_told(marts: ShownMarts) -> None:
    marts.judge("anomalies", OLD, [anomaly("c" * 32)])
    marts.judge("trips", OLD, [trip(100.0)])
    marts.judge("rule_eligibility", OLD, [{"vehicle_id": "T-1", "ineligible": "{}"}])
    with psycopg.connect(marts.url) as connection:
        connection.execute(RULE)
    marts.build()
    marts.forget()
    ((before,),) = query(marts.url, "select penalty_points from marts.mart_driver_days")
    changed = "update marts.driver_score_weights set points = points + 1"
    with psycopg.connect(marts.url) as connection:
        connection.execute(changed)
    marts.load("2026-02-10T12", 1)
    marts.build()
    ((after,),) = query(marts.url, "select penalty_points from marts.mart_driver_days")
    assert after == before + 1
    points = told(marts, "mart_driver_days")["penalty_points"]
    assert points[:2] == (float(before), float(after))
    marts.forget()


@pytest.mark.parametrize("is_over", [False, True])
def test_a_day_is_history_once_it_is_over_where_the_fleet_is(
    marts: ShownMarts, is_over: bool
) -> None:
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    # where the day ended with this hour, or has twelve hours to go
    ahead = (23 - start.hour if is_over else 11 - start.hour) % 24
    ahead = ahead if ahead <= 12 else ahead - 24
    number = 20 + is_over
    fleet = f"fleet-{number}"
    zone = f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"
    import_vehicles(marts.url, [vehicle(number, fleet_id=fleet, time_zone=zone)], "test.csv")
    # known before: attributes count from the import on
    with psycopg.connect(marts.url) as connection:
        connection.execute(
            "update warehouse.vehicles_history set valid_from = '-infinity' where id = %s",
            [f"T-{number}"],
        )
    hour = hour_key(start)
    marts.load(hour, 5, number)
    marts.build()
    marts.forget()
    marts.load(hour, 9, number)
    marts.build()
    rows = [row for row in marts.revisions("fct_vehicle_days") if row[1] == fleet]
    assert [row[2:7] for row in rows] == [("messages", 5.0, 9.0, 4.0, "late")] * is_over
    marts.forget()
