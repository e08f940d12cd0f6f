"""Known incidents: which findings count, which days they touch, what people say of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from baseline_flow import DAYS, FIRST, NOTHING_SAID, drive, lake_of

from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.lake.feature_days import days_to_summarise, spans_id, summarise_day
from fleet_assets.lake.incidents import SAID_SCHEMA, IncidentNumbers, fingerprint, incidents_of
from fleet_assets.lake.marks import rows_id
from fleet_assets.lake.store import Lake
from partitions.hours import hour_key

RULES = TABLE_BY_NAME["rule_anomalies"].polars_schema
MIDNIGHT = datetime(2026, 1, 20, tzinfo=UTC)
DAY = DAYS[0]


def finding(start_s: float, end_s: float, **more: Any) -> dict[str, Any]:
    started_at = MIDNIGHT + timedelta(seconds=start_s)
    return {
        "event_hour": hour_key(started_at), "anomaly_id": f"{round(end_s):032x}",
        "vehicle_id": "v1", "condition": "R22", "severity": "high", "stage": "live",
        "started_at": started_at, "ended_at": MIDNIGHT + timedelta(seconds=end_s),
    } | more  # fmt: skip


def found(lake: Lake, *rows: dict[str, Any], number: int = 1) -> Lake:
    """Puts findings in place of those of the same hours; only what incidents look at is there."""
    table = lake.open("rule_anomalies")
    plain = {
        "finding_id": "0" * 32, "anomaly_type": "engine_overheat", "rule_id": "R22",
        "rule_version": 1, "severity_history": "[]", "confidence": 1.0, "detected_at": MIDNIGHT,
        "state": "closed", "continues_id": None, "evidence": "{}", "description": "",
        "recommended_action": "", "release": 1, "closes_at": MIDNIGHT,
    }  # fmt: skip
    frame = pl.DataFrame([plain | row for row in rows], schema=RULES)
    hours = frame["event_hour"].unique().to_list()
    table.commit_files(
        {hour: [frame.filter(pl.col("event_hour") == hour)] for hour in hours},
        table.files_of(hours),
        {rows_id(hour): number for hour in hours},
    )
    return lake


def said(*words: tuple[bool, float, float]) -> pl.DataFrame:
    rows = [
        {
            "feedback_id": number, "vehicle_id": "v1", "condition": "R22", "is_true": is_true,
            "started_at": MIDNIGHT + timedelta(seconds=start),
            "ended_at": MIDNIGHT + timedelta(seconds=end),
        }
        for number, (is_true, start, end) in enumerate(words)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SAID_SCHEMA)


@pytest.mark.parametrize(
    ("row", "counts"),
    [
        (finding(100, 200), True),
        (finding(100, 200, severity="critical"), True),
        (finding(100, 200, severity="medium"), False),
        (finding(100, 200, anomaly_type="over_speeding"), False),
        (finding(100, 200, stage="shadow"), False),
        (finding(-7 * 86_400, 10), True),  # it may last for a week
        (finding(-900, -100), True),  # the first windows still look at it
        (finding(-900, -400), False),
        (finding(86_399, 90_000), True),
        (finding(86_400, 90_000), False),
    ],
)
def test_which_findings_count_for_a_day(tmp_path: Path, row: dict[str, Any], counts: bool) -> None:
    lake = found(Lake(str(tmp_path)), row)
    assert incidents_of(lake, DAY, NOTHING_SAID).height == counts


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        (said((False, 100, 200)), False),
        (said((False, 150, 900)), False),  # late data has moved its bounds since
        (said((False, 300, 400)), True),  # of another one
        (said((False, 100, 200), (True, 100, 200)), True),
        (said((True, 100, 200), (False, 100, 200)), False),
        (said((False, 100, 200)).with_columns(vehicle_id=pl.lit("v2")), True),
        (said((False, 100, 200)).with_columns(condition=pl.lit("R26")), True),
    ],
)
def test_the_last_word_counts(tmp_path: Path, words: pl.DataFrame, counts: bool) -> None:
    lake = found(Lake(str(tmp_path)), finding(100, 200))
    assert incidents_of(lake, DAY, words).height == counts


def test_one_that_goes_on_leaves_the_days_before_as_they_are(tmp_path: Path) -> None:
    lake = found(Lake(str(tmp_path)), finding(100, 90_000))
    before, number = fingerprint(incidents_of(lake, DAY, NOTHING_SAID)), IncidentNumbers
    was = number(lake, NOTHING_SAID).of(DAY)
    found(lake, finding(100, 95_000), number=2)
    assert fingerprint(incidents_of(lake, DAY, NOTHING_SAID)) == before
    assert number(lake, NOTHING_SAID).of(DAY) == was + 1
    assert number(lake, said((False, 100, 200))).of(DAY) == was + 2
    assert number(lake, said((False, 9 * -86_400, 0))).of(DAY) == was + 1  # too long ago


def test_a_day_follows_its_incidents(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, 2)
    start = (FIRST - MIDNIGHT).total_seconds()

    def windows() -> dict[str, int]:
        rows = lake.open("feature_days").read(DAY, where=pl.col("feature") == "rpm_mean_60s")
        return dict(rows.select("vehicle_id", "windows").iter_rows())

    assert windows() == {"v1": 16, "v2": 16}
    found(lake, finding(start, start + 50), number=1_000_000)
    assert days_to_summarise(lake, NOTHING_SAID, (), by_incidents=False) == []
    assert days_to_summarise(lake, NOTHING_SAID, ()) == [DAY]
    assert summarise_day(lake, DAY, NOTHING_SAID).verdict is not None
    assert windows() == {"v1": 5, "v2": 16}  # windows look back for a minute
    marks = lake.open("feature_days")
    found(lake, finding(start, start + 50), number=1_000_001)
    assert summarise_day(lake, DAY, NOTHING_SAID).verdict is None  # the same incident
    assert lake.open("feature_days").committed(spans_id(DAY)) == marks.committed(spans_id(DAY))
    words = said((False, start, start + 50))
    assert days_to_summarise(lake, words, ()) == [DAY]
    summarise_day(lake, DAY, words)
    assert windows() == {"v1": 16, "v2": 16}
    assert len(drive(0)) == 16
