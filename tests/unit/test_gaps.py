"""Gaps are told with their offsets, count as losses or not, and are open until acknowledged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from telemetry_data import NOW, SOURCE, message, placed

from fleet_assets.lake.conservation import offset_differences
from fleet_assets.lake.gaps import Acknowledgement, Gap, gaps
from fleet_assets.lake.landing import land
from fleet_assets.lake.store import Lake
from fleet_assets.telemetry.source import Source


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path))


def land_range(
    lake: Lake, start: int, end: int, lost: int = 0, partition: int = 0, source: Source = SOURCE
) -> None:
    """A range whose first offsets are lost and whose others hold a message each."""
    rows = placed(
        [message(speed=n) for n in range(end - start - lost)],
        start=start + lost,
        partition=partition,
    ).with_columns(
        kafka_topic_id=pl.lit(source.topic_id),
        offset_start=pl.lit(start, dtype=pl.Int64),
        offset_end=pl.lit(end, dtype=pl.Int64),
    )
    land(lake, source, {partition: (start, end)}, rows, {partition: lost})


def noted(start: int, end: int, partition: int = 0) -> Acknowledgement:
    return Acknowledgement("topic", partition, start, end, "ann", NOW, "the disk was full")


def offsets(found: list[Gap]) -> list[tuple[int, int, int]]:
    return [(gap.kafka_partition, gap.offset_start, gap.offset_end) for gap in found]


def test_a_lake_without_landings_has_no_gaps_and_stays_untouched(lake: Lake) -> None:
    assert gaps(lake) == []
    assert not list(Path(lake.url).iterdir())


def test_landings_that_join_have_no_gap(lake: Lake) -> None:
    land_range(lake, 0, 3)
    land_range(lake, 3, 5)
    assert gaps(lake) == []


def test_what_expired_is_told_with_its_offsets_and_time_and_fails_the_check(lake: Lake) -> None:
    land_range(lake, 0, 3)
    land_range(lake, 3, 12, lost=4)
    (gap,) = gaps(lake)
    assert (gap.kind, gap.lost, gap.is_open) == ("expired", 4, True)
    assert (gap.kafka_topic_id, gap.kafka_partition, gap.cluster_id) == ("topic", 0, "cluster")
    assert (gap.offset_start, gap.offset_end) == (3, 7)
    assert gap.landed_at is not None
    assert datetime.now(UTC) - gap.landed_at < timedelta(minutes=10)
    (difference,) = offset_differences(lake)
    assert "partition 0" in difference
    assert "offsets 3 to 6" in difference


def test_neighbouring_losses_are_one_gap(lake: Lake) -> None:
    land_range(lake, 0, 1)
    land_range(lake, 1, 5, lost=4)
    land_range(lake, 5, 9, lost=2)
    land_range(lake, 9, 12, lost=1)
    land_range(lake, 0, 5, lost=5, partition=1)
    assert offsets(gaps(lake)) == [(0, 1, 7), (0, 9, 10), (1, 0, 5)]


def test_history_before_the_first_landing_is_visible_and_no_loss(lake: Lake) -> None:
    land_range(lake, 100, 103, partition=2)
    (gap,) = gaps(lake)
    assert (gap.kind, gap.offset_start, gap.offset_end, gap.lost) == ("before", 0, 100, 0)
    assert not gap.is_open
    assert offset_differences(lake) == []


def test_acknowledged_gaps_pass_and_stay_listed(lake: Lake) -> None:
    land_range(lake, 0, 1)
    land_range(lake, 1, 5, lost=4)
    known = gaps(lake, [noted(1, 5)])
    assert [gap.is_open for gap in known] == [False]
    assert "acknowledged by ann: the disk was full" in str(known[0])
    assert offset_differences(lake, known) == []


def test_a_gap_that_grows_past_what_was_acknowledged_is_open_again(lake: Lake) -> None:
    land_range(lake, 0, 1)
    land_range(lake, 1, 5, lost=4)
    land_range(lake, 5, 9, lost=3)
    known = gaps(lake, [noted(1, 5)])
    assert offsets([gap for gap in known if gap.is_open]) == [(0, 5, 8)]
    assert len(offset_differences(lake, known)) == 1


@pytest.mark.parametrize("other", [noted(1, 4), noted(2, 5), noted(1, 5, partition=1)])
def test_only_the_whole_gap_of_the_same_partition_is_acknowledged(
    lake: Lake, other: Acknowledgement
) -> None:
    land_range(lake, 0, 1)
    land_range(lake, 1, 5, lost=4)
    assert gaps(lake, [other])[0].is_open


def test_a_topic_made_anew_has_gaps_of_its_own(lake: Lake) -> None:
    land_range(lake, 0, 4)
    land_range(lake, 0, 3, source=Source("cluster", "anew"))
    land_range(lake, 3, 6, lost=2, source=Source("cluster", "anew"))
    (gap,) = gaps(lake)
    assert (gap.kafka_topic_id, gap.offset_start, gap.offset_end) == ("anew", 3, 5)
    assert len(offset_differences(lake)) == 1
