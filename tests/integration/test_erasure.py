"""After an erasure nothing of the subject is found anywhere, and all that is left adds up."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic
from dying import dying_at
from installation import Installation
from telemetry_data import LATE_AFTER, NOW, POLICY, message
from warehouse_data import fresh_warehouse, query, vehicle

from fleet_assets.erasure_flow import ErasureReport, Topics, erase_subject
from fleet_assets.errors import FleetError
from fleet_assets.kafka.read import read_ranges
from fleet_assets.kafka.topic import Broker, held_offsets, topic_state
from fleet_assets.lake.archive import Archive
from fleet_assets.lake.conservation import account, offset_differences
from fleet_assets.lake.landing import land
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.restore import restore_hour
from fleet_assets.lake.store import Lake
from fleet_assets.lake.trips import refresh_trip_segments
from fleet_assets.lake.vehicle_hours import refresh_vehicle_hours
from fleet_assets.retention.classes import read_classes
from fleet_assets.retention.subject import Subject
from fleet_assets.retention_flow import run_retention
from fleet_assets.telemetry.placement import place
from fleet_assets.warehouse.legal_holds import place_hold
from fleet_assets.warehouse.load import replace_hours
from fleet_assets.warehouse.retention_actions import noted_actions
from fleet_assets.warehouse.vehicles import import_vehicles

pytestmark = pytest.mark.integration

HOURS = ("2026-02-01T03", "2026-02-01T05")
GONE, STAYS, DRIVER = "veh-gone", "veh-stays", "drv-gone"
KNOWN = frozenset({GONE, STAYS})
TANKS = pl.DataFrame(schema={"vehicle_id": pl.String, "tank_gallons": pl.Float64})
LOADED = ("vehicle_hours", "vehicle_outcomes", "telemetry_outcomes")
LONG_AFTER = NOW + timedelta(days=15)
"""Raw messages are old, telemetry is not."""


class Place:
    """A lake, a warehouse, an archive and a Kafka with both hours of two vehicles."""

    def __init__(self, services: Installation, name: str, folder: Path) -> None:
        self.url = fresh_warehouse(services, name)
        self.lake = Lake(str(folder / "lake"))
        self.archive = Archive(str(folder / "archive"))
        self.broker = Broker(services.endpoints.kafka_bootstrap_servers, {})
        self.topics = Topics(f"{name}-telemetry", (f"{name}-dlq",))
        self._fill()

    def erase(self, subject: Subject, **options: Any) -> ErasureReport:
        where = (self.lake, self.url, self.archive, self.broker, self.topics)
        return erase_subject(*where, subject, "a test", **options)

    def _fill(self) -> None:
        admin = self.broker.admin()
        for made in admin.create_topics(
            [NewTopic(t, 1, 1) for t in (self.topics.telemetry, *self.topics.copies)]
        ).values():
            made.result(30)
        producer = Producer({"bootstrap.servers": self.broker.bootstrap_servers})
        for hour in HOURS:
            for value in self._values(hour):
                producer.produce(self.topics.telemetry, value=value)
        producer.produce(self.topics.copies[0], key=GONE.encode(), value=b"a dead letter")
        producer.flush()
        state = topic_state(self.broker, self.topics.telemetry)
        ranges = state.watermarks
        for chunk in read_ranges(self.broker, self.topics.telemetry, state.source.topic_id, ranges):
            messages = chunk.messages.with_columns(append_time=pl.lit(NOW).dt.cast_time_unit("us"))
            land(self.lake, state.source, chunk.ranges, place(messages, POLICY), chunk.lost)
        import_vehicles(
            self.url, [vehicle(1, id=GONE), vehicle(2, id=STAYS)], source="a test"
        )  # fmt: skip
        for hour in HOURS:
            refresh_hour(self.lake, hour, KNOWN, LATE_AFTER)
            refresh_vehicle_hours(self.lake, hour, TANKS)
            refresh_trip_segments(self.lake, hour)
        frames = {n: self.lake.open(n).read() for n in LOADED}
        replace_hours(self.url, frames, list(HOURS))  # type: ignore[arg-type]

    def _values(self, hour: str) -> list[bytes]:
        found = []
        for second in range(3):
            for who in (GONE, STAYS):
                named = DRIVER if who == STAYS else "drv-other"
                at = f"{hour}:00:0{second}Z"
                found.append(message(who, at, speed=20, driver_id=named))
        found.append(message(GONE, f"{hour}:00:00Z", speed=21, driver_id="drv-other"))  # conflict
        found.append(json.dumps({"vehicle_id": GONE, "timestamp": "nonsense"}).encode())
        found.append(json.dumps({"driver_id": DRIVER, "timestamp": "nonsense"}).encode())
        return found

    def archive_raw_of(self, hour: str) -> None:
        """Sends the raw messages of what is old to the archive, and brings an hour back."""
        report = run_retention(
            self.lake, self.url, self.archive, read_classes(), LONG_AFTER, "a test"
        )
        assert report.failed == []
        assert report.by_table()["raw_telemetry"][0] == len(HOURS)
        restore_hour(self.lake, self.archive, "raw_telemetry", hour)

    def assert_adds_up(self) -> None:
        for found in account(self.lake, list(HOURS)):
            assert (found.differences, found.pending) == ([], 0), found
        assert offset_differences(self.lake) == []
        totals = "select sum(read), sum(accepted), sum(rejected) from warehouse."
        assert query(self.url, f"{totals}vehicle_outcomes") == query(
            self.url, f"{totals}telemetry_outcomes"
        )


@pytest.fixture
def somewhere(services: Installation, request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(services, f"erasure_{abs(hash(request.node.name)) % 10**8}", tmp_path)


def found_in(root: Path, text: str) -> list[str]:
    """Files in which a text stands, as bytes or in the rows of a Parquet file."""
    found = []
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        told = path.read_bytes()
        if path.suffix == ".parquet":
            told += str(pyarrow.parquet.read_table(path).to_pylist()).encode()
        if text.encode() in told:
            found.append(str(path.relative_to(root)))
    return found


@pytest.mark.parametrize("archived", [False, True])
def test_nothing_of_a_vehicle_is_found_anywhere(
    somewhere: Place, archived: bool, tmp_path: Path
) -> None:
    if archived:
        somewhere.archive_raw_of(HOURS[0])
    assert found_in(tmp_path, GONE)
    would = somewhere.erase(Subject("vehicle", GONE), dry_run=True)
    did = somewhere.erase(Subject("vehicle", GONE), reference="ticket 4711")
    assert did.left == []
    assert did.rows == would.rows
    assert did.rows["lake", "telemetry"] == 6
    assert did.rows["warehouse", "vehicle_hours"] == 2
    assert did.rows["warehouse", "vehicles"] == 1
    assert did.rows["archive" if archived else "lake", "raw_telemetry"] == 10
    assert found_in(tmp_path, GONE) == []
    topics = (somewhere.topics.telemetry, *somewhere.topics.copies)
    for topic in topics:
        ((low, high),) = held_offsets(
            somewhere.broker.admin(), somewhere.broker, topic, [0]
        ).values()
        assert low == high, topic
    somewhere.assert_adds_up()
    assert set(somewhere.lake.open("telemetry").read()["vehicle_id"]) == {STAYS}
    noted = str([it for it in noted_actions(somewhere.url) if it.action.action == "erase"])
    assert "ticket 4711" in noted
    assert GONE not in noted
    again = somewhere.erase(Subject("vehicle", GONE))
    assert (again.rows, again.left) == ({}, [])
    for hour in HOURS:  # nothing brings it back
        refresh_hour(somewhere.lake, hour, KNOWN, LATE_AFTER, force_rebuild=True)
        refresh_vehicle_hours(somewhere.lake, hour, TANKS, force=True)
    somewhere.assert_adds_up()
    assert set(somewhere.lake.open("vehicle_hours").read()["vehicle_id"]) == {STAYS}


def test_nothing_of_a_driver_is_found_and_his_vehicles_past_stays(
    somewhere: Place, tmp_path: Path
) -> None:
    somewhere.archive_raw_of(HOURS[0])
    hours = somewhere.lake.open("vehicle_hours").read()
    did = somewhere.erase(Subject("driver", DRIVER))
    assert did.left == []
    assert found_in(tmp_path, DRIVER) == []
    rows = somewhere.lake.open("telemetry").read()
    assert rows.filter(vehicle_id=STAYS).height == 6
    assert set(rows["driver_id"]) == {None, "drv-other"}
    assert somewhere.lake.open("vehicle_hours").read().equals(hours)
    somewhere.assert_adds_up()


def test_a_hold_refuses_it(somewhere: Place, tmp_path: Path) -> None:
    place_hold(somewhere.url, STAYS, "case 12", "a lawyer")
    before = found_in(tmp_path, DRIVER)
    for subject in (Subject("vehicle", STAYS), Subject("driver", DRIVER)):
        with pytest.raises(FleetError, match="legal hold"):
            somewhere.erase(subject)
    assert found_in(tmp_path, DRIVER) == before
    assert somewhere.erase(Subject("vehicle", GONE)).left == []


@pytest.mark.parametrize(
    "point",
    ["erase.committed", "erase.files_deleted", "erase.archive_written", "erase.archive_manifest"],
)
def test_killed_anywhere_it_may_be_done_again(somewhere: Place, point: str, tmp_path: Path) -> None:
    somewhere.archive_raw_of(HOURS[0])
    with dying_at(point) as died:
        somewhere.erase(Subject("vehicle", GONE))
    assert died
    assert somewhere.erase(Subject("vehicle", GONE)).left == []
    assert found_in(tmp_path, GONE) == []
    somewhere.assert_adds_up()


def test_a_dry_run_changes_nothing(somewhere: Place, tmp_path: Path) -> None:
    copy = shutil.copytree(tmp_path / "lake", tmp_path / "copy")
    assert somewhere.erase(Subject("vehicle", GONE), dry_run=True).rows
    assert {p.relative_to(copy) for p in copy.rglob("*")} == {
        p.relative_to(tmp_path / "lake") for p in (tmp_path / "lake").rglob("*")
    }
    assert query(somewhere.url, "select count(*) from warehouse.vehicles") == [(2,)]
