"""Every kind of bad input through the running flow: what becomes of it, and of the rest.

One batch holds all kinds together with good messages; it is landed and refreshed once, and the
tests look at the result from the raw rows to the marts. The tests after that follow one another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from installation import Installation
from platform_run import Message, PlatformRun, platform_run
from telemetry_data import message
from warehouse_data import vehicle

from fleet_assets.assets.runs import RANGE_START
from fleet_assets.warehouse.staleness import hours_to_requeue
from fleet_assets.warehouse.vehicles import import_vehicles

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

HOUR = "2020-03-01T05"
BASE = datetime(2020, 3, 1, 5, tzinfo=UTC)
MIB = 1024**2
GOOD_VEHICLES, GOOD_EACH = ["T-2", "T-3"], 50
GOOD_PARTITION, BAD_PARTITION = 1, 0


def at(second: int) -> str:
    return (BASE + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")


def ahead() -> str:
    return (datetime.now(UTC) + timedelta(hours=1)).isoformat()


def spoilt(pair: str, second: int) -> bytes:
    """A message with one member replaced by text that json.dumps would not write."""
    return message("T-1", at(second), speed=30).replace(b'"speed": 30', pair.encode())


@dataclass(frozen=True)
class Refused:
    """A message that must end as a reject row."""

    name: str
    reason: str
    value: bytes | None
    key: bytes | None = None


@dataclass(frozen=True)
class Kept:
    """A message that must become a row: its second in the hour, and what the row holds."""

    name: str
    second: int
    value: bytes
    columns: dict[str, Any] = field(default_factory=dict)
    invalid: dict[str, Any] | None = None
    extra: dict[str, Any] | None = None


REFUSED = [
    Refused("invalid JSON", "invalid_json", b'{"vehicle_id": "T-1", "timestamp"'),
    Refused("two values", "invalid_json", message("T-1", at(0)) * 2),
    Refused("an array", "not_an_object", b"[" + message("T-1", at(0)) + b"]"),
    Refused("a number", "not_an_object", b"42"),
    Refused("not UTF-8", "not_utf8", b'{"vehicle_id": "T-\xff\xfe"}'),
    Refused("no bytes", "empty", b""),
    Refused("null", "empty", None),
    Refused("1 MiB of rubbish", "invalid_json", b"x" * MIB),
    Refused("no vehicle_id", "missing_vehicle_id", b'{"timestamp": "2020-03-01T05:00:00Z"}'),
    Refused("null vehicle_id", "missing_vehicle_id", message(None, at(0))),  # type: ignore[arg-type]
    Refused("a number as vehicle_id", "invalid_vehicle_id", message(7, at(0))),  # type: ignore[arg-type]
    Refused("no timestamp", "missing_timestamp", b'{"vehicle_id": "T-1"}'),
    Refused("naive timestamp", "naive_timestamp", message("T-1", "2020-03-01T05:00:00")),
    Refused("malformed timestamp", "invalid_timestamp", message("T-1", "yesterday")),
    Refused("no such date", "invalid_timestamp", message("T-1", "2020-02-30T05:00:00Z")),
    Refused("ancient", "ancient", message("T-1", "1999-12-31T23:59:59Z")),
    Refused("future", "future", message("T-1", ahead())),
    Refused("key of another", "key_mismatch", message("T-1", at(0)), key=b"T-2"),
]
KEPT = [
    Kept("NaN", 100, spoilt('"speed": NaN', 100), {"speed": None},
         {"speed": {"value": "NaN", "reason": "not_finite"}}),
    Kept("Infinity", 101, spoilt('"speed": -Infinity', 101), {"speed": None},
         {"speed": {"value": "-Infinity", "reason": "not_finite"}}),
    Kept("a number as text", 102, message("T-1", at(102), speed="30", engine_rpm=900),
         {"speed": None, "engine_rpm": 900.0}, {"speed": {"value": "30", "reason": "wrong_type"}}),
    Kept("out of bounds", 103, message("T-1", at(103), engine_rpm=16384, speed=30),
         {"engine_rpm": None, "speed": 30.0},
         {"engine_rpm": {"value": 16384, "reason": "out_of_bounds"}}),
    Kept("unknown keys", 104, message("T-1", at(104), speed=30, tyre={"front": [1, None]}),
         {"speed": 30.0}, extra={"tyre": {"front": [1, None]}}),
    Kept("1 MiB", 105, message("T-1", at(105), speed=30, note="x" * MIB), {"speed": 30.0},
         extra={"note": "x" * MIB}),
    Kept("explicit null", 106, message("T-1", at(106), speed=None),
         {"speed": None, "null_signals": ["speed"]}),
]  # fmt: skip
SAME = message("T-1", at(200), speed=40)
RIVALS = [message("T-1", at(300), speed=40), message("T-1", at(300), speed=50, engine_rpm=900)]
UNKNOWN = [message("T-9", at(n), speed=10) for n in range(5)]
GOOD = [
    message(name, at(n), speed=30, engine_rpm=2000)
    for n in range(GOOD_EACH)
    for name in GOOD_VEHICLES
]
BATCH: list[Message] = [
    *((case.key, case.value) for case in REFUSED),
    *((b"T-1", case.value) for case in KEPT),
    *((b"T-1", SAME) for _ in range(3)),
    *((b"T-1", rival) for rival in RIVALS),
    *((b"T-9", stranger) for stranger in UNKNOWN),
]
ACCEPTED = len(KEPT) + 2 + len(GOOD)  # of three equal messages and of two rivals, one each
DUPLICATE, CONFLICTING = 2, 1
READ = len(BATCH) + len(GOOD)


@pytest.fixture(scope="module")
def flow(
    services: Installation, flow_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlatformRun]:
    """The batch has gone through landing and refresh; T-9 is not registered."""
    lake = tmp_path_factory.mktemp("bad-input")
    settings = {"partitions_start": "2020-01-01T00:00Z", "late_interval": "PT0S"}
    with platform_run(services, "bad-input", flow_home, lake, **settings) as run:
        import_vehicles(run.postgres_url, [vehicle(n) for n in (1, 2, 3)], "test")
        run.produce(BATCH, BAD_PARTITION)
        run.produce([(None, value) for value in GOOD], GOOD_PARTITION)
        run.land()
        executed = run.refresh()
        assert [result.success for result in executed] == [True] * len(executed)
        yield run


def rejects(flow: PlatformRun) -> dict[int, dict[str, Any]]:
    """Reject rows by offset in the partition of the bad ones."""
    rows = flow.rows("telemetry_rejects").filter(pl.col("kafka_partition") == BAD_PARTITION)
    return {row["kafka_offset"]: row for row in rows.iter_rows(named=True)}


@pytest.mark.parametrize("offset", range(len(REFUSED)), ids=[case.name for case in REFUSED])
def test_a_refused_message_is_kept_with_reason_and_bytes(flow: PlatformRun, offset: int) -> None:
    case, row = REFUSED[offset], rejects(flow)[offset]
    assert (row["reason"], row["value"], row["key"]) == (case.reason, case.value, case.key)
    assert row["detail"]


@pytest.mark.parametrize("case", KEPT, ids=[case.name for case in KEPT])
def test_a_bad_value_costs_the_value_and_not_the_message(flow: PlatformRun, case: Kept) -> None:
    moment = BASE + timedelta(seconds=case.second)
    rows = flow.rows("telemetry", HOUR).filter(
        (pl.col("vehicle_id") == "T-1") & (pl.col("event_time") == moment)
    )
    (row,) = rows.iter_rows(named=True)
    assert {name: row[name] for name in case.columns} == case.columns
    assert json.loads(row["invalid_values"] or "null") == case.invalid
    assert json.loads(row["extra"] or "null") == case.extra


def test_good_messages_of_the_batch_are_unharmed(flow: PlatformRun) -> None:
    rows = flow.rows("telemetry", HOUR).filter(pl.col("vehicle_id").is_in(GOOD_VEHICLES))
    assert rows.height == len(GOOD)
    assert rows["invalid_values"].null_count() == rows["extra"].null_count() == len(GOOD)
    assert set(rows["speed"]) == {30}
    assert set(rows["engine_rpm"]) == {2000}


def test_of_equal_messages_one_is_a_row_and_the_others_are_counted(flow: PlatformRun) -> None:
    rows = flow.rows("telemetry", HOUR).filter(
        pl.col("event_time") == BASE + timedelta(seconds=200)
    )
    assert rows["conflict"].to_list() == [False]
    assert flow.rows("telemetry_outcomes")["duplicate"].sum() == DUPLICATE


def test_of_conflicting_messages_the_fuller_is_the_row_and_the_other_a_reject(
    flow: PlatformRun,
) -> None:
    rows = flow.rows("telemetry", HOUR).filter(
        pl.col("event_time") == BASE + timedelta(seconds=300)
    )
    assert rows.select("speed", "engine_rpm", "conflict").row(0) == (50, 900, True)
    losers = [row for row in rejects(flow).values() if row["reason"] == "conflicting_duplicate"]
    assert [row["value"] for row in losers] == [RIVALS[0]]


def test_every_message_is_accounted_for(flow: PlatformRun) -> None:
    counts = flow.rows("telemetry_outcomes").select(
        pl.col("read", "accepted", "duplicate", "rejected", "pending").sum()
    )
    rejected = len(REFUSED) + CONFLICTING + len(UNKNOWN)
    assert counts.row(0) == (READ, ACCEPTED, DUPLICATE, rejected, 0)
    assert flow.rows("raw_telemetry").height == READ
    assert set(flow.verdicts("telemetry_outcomes", "conservation").values()) == {True}


def test_the_mart_of_data_quality_tells_the_same_counts(flow: PlatformRun) -> None:
    told = flow.query(
        "select sum(read), sum(accepted), sum(duplicate), sum(rejected), sum(pending),"
        " sum(rejected_unknown_vehicle), sum(rejected_conflicting_duplicate),"
        " sum(rejected_invalid_json), sum(rejected_empty) from marts.mart_data_quality"
    )
    rejected = len(REFUSED) + CONFLICTING + len(UNKNOWN)
    assert told == [(READ, ACCEPTED, DUPLICATE, rejected, 0, len(UNKNOWN), CONFLICTING, 3, 2)]


def test_a_wholly_bad_batch_harms_nothing(flow: PlatformRun) -> None:
    before = flow.rows("telemetry")
    flow.produce([(b"T-1", b"{not json")] * 30, BAD_PARTITION)
    flow.land()
    assert all(result.success for result in flow.refresh())
    assert flow.rows("telemetry").equals(before)
    assert flow.query("select sum(rejected_invalid_json) from marts.mart_data_quality") == [(33,)]
    assert set(flow.verdicts("telemetry_outcomes", "conservation").values()) == {True}


def test_messages_of_an_unknown_vehicle_come_back_when_it_is_registered(flow: PlatformRun) -> None:
    assert hours_to_requeue(flow.postgres_url) == set()
    import_vehicles(flow.postgres_url, [vehicle(9)], "test")
    assert hours_to_requeue(flow.postgres_url) == {HOUR}
    requested = [r.tags[RANGE_START] for r in flow.tick("refresh_sensor").run_requests or []]
    assert requested == [HOUR]
    assert all(result.success for result in flow.refresh())

    came_back = flow.rows("telemetry", HOUR).filter(pl.col("vehicle_id") == "T-9")
    assert came_back.height == len(UNKNOWN)
    assert "unknown_vehicle" not in set(flow.rows("telemetry_rejects")["reason"])
    assert "T-9" in set(flow.rows("vehicle_hours", HOUR)["vehicle_id"])
    shown = flow.query("select messages from marts.fct_vehicle_hours where vehicle_id = 'T-9'")
    assert shown == [(len(UNKNOWN),)]
    quality = flow.query(
        "select sum(accepted), sum(rejected_unknown_vehicle) from marts.mart_data_quality"
    )
    assert quality == [(ACCEPTED + len(UNKNOWN), 0)]
    assert hours_to_requeue(flow.postgres_url) == set()
