"""What became of anomalies: events, lineage, and which one the words of people follow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from fleet_assets.anomalies.changes import KNOWN_SCHEMA, changes
from fleet_assets.anomalies.from_findings import with_finding_ids
from fleet_assets.anomalies.long import LONGEST, parts_of_long
from fleet_assets.anomalies.words import anomaly_id, duration_in_words
from fleet_assets.rules.findings import FINDING_SCHEMA

START = datetime(2026, 3, 1, tzinfo=UTC)


def known(*rows: tuple[str, int, int, str, int]) -> pl.DataFrame:
    """Anomalies by id, first and last minute, state and revision."""
    return pl.DataFrame(
        [
            (
                name,
                "v1",
                "R15",
                START + timedelta(minutes=a),
                START + timedelta(minutes=b),
                state,
                n,
            )
            for name, a, b, state, n in rows
        ],
        schema=KNOWN_SCHEMA,
        orient="row",
    )


def told(frame: pl.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    return sorted(frame.select(names).rows(), key=str)


def test_opened_updated_closed_revised() -> None:
    before = known(("b", 0, 5, "open", 0), ("c", 10, 15, "open", 0), ("d", 20, 25, "closed", 1))
    after = known(
        ("a", 30, 35, "open", 0), ("b", 0, 9, "open", 1), ("c", 10, 19, "closed", 1),
        ("d", 20, 29, "closed", 2),
    )  # fmt: skip
    found = changes(before, after)
    assert told(found.events, "anomaly_id", "kind") == [
        ("a", "opened"), ("b", "updated"), ("c", "closed"), ("d", "revised"),
    ]  # fmt: skip
    assert found.lineage.is_empty()


def test_going_on_is_no_change() -> None:
    found = changes(known(("a", 0, 5, "open", 0)), known(("a", 0, 50, "open", 0)))
    assert found.events.is_empty()


def test_two_that_are_joined() -> None:
    before = known(("a", 0, 10, "closed", 0), ("b", 20, 50, "closed", 0))
    found = changes(before, known(("a", 0, 50, "closed", 1)))
    assert told(found.lineage, "old_id", "new_id", "overlap_seconds") == [("b", "a", 1800.0)]
    assert told(found.follows, "old_id", "new_id") == [("a", "a"), ("b", "a")]


def test_one_that_is_split_gives_its_words_to_the_larger_part() -> None:
    found = changes(
        known(("a", 0, 60, "closed", 0)),
        known(("a", 0, 20, "closed", 1), ("b", 25, 60, "closed", 0)),
    )
    assert told(found.lineage, "old_id", "new_id", "overlap_seconds") == [("a", "b", 2100.0)]
    assert told(found.follows, "old_id", "new_id") == [("a", "b")]


def test_one_of_which_nothing_is_left() -> None:
    found = changes(known(("a", 0, 10, "closed", 0)), known(("b", 20, 30, "closed", 0)))
    assert told(found.lineage, "old_id", "new_id") == [("a", None)]
    assert told(found.follows, "old_id", "new_id") == [("a", None)]
    assert told(found.events, "anomaly_id", "kind", "is_gone") == [
        ("a", "revised", True), ("b", "opened", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "1 min"), (3900, "1 h 5 min"), (90_061, "1 d 1 h"), (61, "1 min 1 s")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration_in_words(timedelta(seconds=seconds)) == words


def test_an_id_names_vehicle_condition_and_onset() -> None:
    ids = {
        anomaly_id("v1", "R15", START),
        anomaly_id("v2", "R15", START),
        anomaly_id("v1", "R16", START),
        anomaly_id("v1", "R15", START + timedelta(microseconds=1)),
    }
    assert len(ids) == 4


def test_what_goes_on_for_weeks_is_cut_from_its_onset_on() -> None:
    ended = START + 2 * LONGEST + timedelta(hours=5)
    whole = pl.DataFrame(
        {"vehicle_id": ["v1"], "condition": ["R40"], "started_at": [START], "ended_at": [ended],
         "detected_at": [START], "is_open": [True], "peak": [11.0],
         "peak_at": [START + timedelta(days=8)]},
    )  # fmt: skip
    times = ("started_at", "ended_at", "peak_at")
    whole = whole.cast({name: FINDING_SCHEMA[name] for name in times})
    parts = parts_of_long(whole).sort("number")
    assert parts["started_at"].to_list() == [START + n * LONGEST for n in range(3)]
    assert parts["ended_at"].to_list() == [START + LONGEST, START + 2 * LONGEST, ended]
    assert parts["is_open"].to_list() == [False, False, True]
    assert parts["peak"].to_list() == [None, 11.0, None]


def test_what_counts_is_not_named_after_what_is_on_trial() -> None:
    rows = pl.DataFrame(
        {
            "vehicle_id": ["v1"] * 3,
            "anomaly_type": ["over_speeding"] * 3,
            "stage": ["shadow", "live", "live"],
            "anomaly_id": ["s", "a", "b"],
            "started_at": [START + timedelta(minutes=n) for n in (0, 1, 2)],
            "ended_at": [START + timedelta(minutes=9)] * 3,
            "finding_id": [""] * 3,
        }
    )
    assert with_finding_ids(rows)["finding_id"].to_list() == ["s", "a", "a"]
