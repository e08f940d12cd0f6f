"""What the lake tells of its hours and tables: input, marks, rows, files, bytes, holes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from judging import book, bring_up
from telemetry_data import HOUR, LATE_AFTER, land_values, message

from fleet_assets.lake.anomalies import collect_anomalies
from fleet_assets.lake.by_onset import stitch_hours
from fleet_assets.lake.expiry import expire_hour
from fleet_assets.lake.ledger import (
    LEDGER_TABLES,
    OPTIONAL,
    damaged_hours,
    hours_with_losses,
    lake_ledger,
    ledger_snapshots,
    vanished_hours,
)
from fleet_assets.lake.log import all_marks, mentioned_files, stored_files
from fleet_assets.lake.refresh import app_id, refresh_hour
from fleet_assets.lake.rule_anomalies import by_rules
from fleet_assets.lake.rule_history import stitch_history
from fleet_assets.lake.segments import refresh_segments
from fleet_assets.lake.store import Lake

EARLIER = "2026-02-01T04"
KNOWN = frozenset(["v1"])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """One hour taken in (one message accepted, one refused), another that has only landed."""
    lake = Lake(str(tmp_path))
    land_values(lake, [message("v1"), message("v2")])
    refresh_hour(lake, HOUR, KNOWN, LATE_AFTER)
    land_values(lake, [message("v1", timestamp="2026-02-01T04:00:00Z")], start=2)
    return lake


def rows(lake: Lake) -> dict[tuple[str, str], dict[str, Any]]:
    found = lake_ledger(ledger_snapshots(lake)).iter_rows(named=True)
    return {(row["event_hour"], row["table_name"]): row for row in found}


def test_every_hour_has_a_row_for_every_table(lake: Lake) -> None:
    every = set(LEDGER_TABLES) - set(OPTIONAL)
    assert set(rows(lake)) == {(h, t) for h in (HOUR, EARLIER) for t in every}
    assert lake_ledger(ledger_snapshots(lake), [HOUR]).height == len(every)


def test_rows_files_and_bytes_are_those_of_the_files(lake: Lake) -> None:
    found = rows(lake)
    assert found[HOUR, "raw_telemetry"]["rows"] == 2
    assert found[HOUR, "telemetry"]["rows"] == 1
    assert found[HOUR, "telemetry_rejects"]["rows"] == 1
    assert found[EARLIER, "telemetry"]["files"] == 0
    for table in ("raw_telemetry", "telemetry"):
        stored = stored_files(lake.open(table).delta)
        of_hour = stored.filter(stored["path"].str.contains(HOUR))
        assert found[HOUR, table]["files"] == of_hour.height
        assert found[HOUR, table]["bytes"] == of_hour["size_bytes"].sum()


def test_what_has_landed_since_is_not_processed(lake: Lake) -> None:
    before = rows(lake)
    newest = before[HOUR, "raw_telemetry"]["newest_version"]
    assert before[HOUR, "telemetry"]["processed_version"] == newest
    assert before[EARLIER, "telemetry"]["processed_version"] is None
    land_values(lake, [message("v1", timestamp="2026-02-01T05:00:09Z")], start=3)
    after = rows(lake)
    assert after[HOUR, "raw_telemetry"]["newest_version"] > newest
    assert after[HOUR, "telemetry"]["processed_version"] == newest
    assert after[HOUR, "telemetry"]["processed_input_at"] is not None


def test_marks_survive_a_checkpoint_and_equal_what_the_table_says(lake: Lake) -> None:
    telemetry = lake.open("telemetry")
    telemetry.delta.create_checkpoint()
    land_values(lake, [message("v1", timestamp="2026-02-01T05:00:09Z")], start=3)
    refresh_hour(lake, HOUR, KNOWN, LATE_AFTER)
    refresh_hour(lake, EARLIER, KNOWN, LATE_AFTER)
    telemetry = lake.open("telemetry")
    marks = all_marks(telemetry.delta)
    assert {app_id(HOUR), app_id(EARLIER)} <= set(marks)
    assert marks == {app: telemetry.committed(app) for app in marks}


def test_anomalies_are_as_far_as_what_the_rules_have_found_of_the_hour(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    land_values(lake, hot_engine(0, 30))
    bring_up(lake)
    first = rows(lake)
    newest = first[HOUR, "raw_telemetry"]["newest_version"]
    assert first[HOUR, "anomalies"]["rows"] == 1
    tables = ("segments", "trips", "rule_anomalies", "anomalies")
    assert {first[HOUR, table]["processed_version"] for table in tables} == {newest}

    land_values(lake, hot_engine(30, 5), start=30)
    refresh_hour(lake, HOUR, KNOWN, LATE_AFTER)
    refresh_segments(lake, HOUR, book())
    assert rows(lake)[HOUR, "rule_anomalies"]["processed_version"] is None
    stitch_hours(lake, [HOUR], by_rules(book()))
    list(stitch_history(lake, book(), timedelta(), datetime.now(UTC)))
    stitched = rows(lake)
    assert stitched[HOUR, "rule_anomalies"]["processed_version"] > newest
    assert stitched[HOUR, "anomalies"]["processed_version"] is None
    before = stitched[HOUR, "anomalies"]["rows_number"]
    collect_anomalies(lake, [HOUR])
    collected = rows(lake)[HOUR, "anomalies"]
    assert collected["processed_version"] == stitched[HOUR, "segments"]["processed_version"]
    assert collected["rows_number"] > before


def test_segments_lag_while_late_rows_of_the_hour_before_are_not_looked_at(lake: Lake) -> None:
    bring_up(lake)
    land_values(lake, [message("v1", timestamp="2026-02-01T04:59:59Z")], start=3)
    refresh_hour(lake, EARLIER, KNOWN, LATE_AFTER)
    found = rows(lake)
    assert found[HOUR, "telemetry"]["processed_version"] is not None
    assert found[HOUR, "segments"]["processed_version"] is None
    refresh_segments(lake, HOUR, book())
    assert rows(lake)[HOUR, "segments"]["processed_version"] is not None


def hot_engine(first: int, seconds: int) -> list[bytes]:
    """A message a second of an engine that is too hot."""
    return [
        message("v1", f"2026-02-01T05:00:{second:02}Z", coolant_temp=120.0)
        for second in range(first, first + seconds)
    ]


def test_raw_that_is_gone_or_cut_off_is_named_by_hour(lake: Lake) -> None:
    raw = lake.open("raw_telemetry")
    assert damaged_hours(raw) == {}
    root = Path(raw.delta.table_uri.removeprefix("file://"))
    by_hour = dict(zip(raw.files["event_hour"], raw.files["path"], strict=True))
    (root / by_hour[HOUR]).unlink()
    (root / by_hour[EARLIER]).write_bytes(b"PAR1")
    found = damaged_hours(lake.open("raw_telemetry"))
    assert "1 gone" in found[HOUR]
    assert "1 of another size" in found[EARLIER]


def test_expired_raw_is_told_apart_from_raw_that_vanished(lake: Lake) -> None:
    refresh_hour(lake, EARLIER, KNOWN, LATE_AFTER)
    before = rows(lake)[HOUR, "telemetry"]["processed_version"]
    assert expire_hour(lake, HOUR).kept_because is None
    lake.open("raw_telemetry").delta.delete(f"event_hour = '{EARLIER}'")
    ledger = lake_ledger(ledger_snapshots(lake))
    assert set(vanished_hours(ledger)) == {EARLIER}
    found = rows(lake)
    assert not found[HOUR, "raw_telemetry"]["raw_complete"]
    assert found[EARLIER, "raw_telemetry"]["raw_complete"]
    assert found[HOUR, "raw_telemetry"]["rows"] == 0
    # what was taken in last is the newest input that is known, so the hour is not stale
    assert found[HOUR, "raw_telemetry"]["newest_version"] == before


def test_losses_are_told_for_the_hours_that_the_landing_touched(lake: Lake) -> None:
    version = rows(lake)[EARLIER, "raw_telemetry"]["newest_version"]
    assert set(hours_with_losses(ledger_snapshots(lake), {version: 7})) == {EARLIER}
    refresh_hour(lake, EARLIER, KNOWN, LATE_AFTER)
    lake.open("raw_telemetry").delta.optimize.compact()
    found = hours_with_losses(ledger_snapshots(lake), {version: 7})
    assert set(found) == {EARLIER}
    assert "7" in found[EARLIER]


def test_files_of_older_versions_are_still_mentioned(lake: Lake) -> None:
    before = set(stored_files(lake.open("telemetry_outcomes").delta)["path"])
    refresh_hour(lake, HOUR, KNOWN, LATE_AFTER, force_rebuild=True)
    table = lake.open("telemetry_outcomes")
    assert before <= mentioned_files(table.delta)
    assert not before & set(table.files["path"])
