"""Which hours are refreshed next, which offsets are landed next, and the keys of hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_assets.assets.common import LANE_TAG as LANE
from fleet_assets.assets.runs import (
    HOURS_TAG,
    PARTITION,
    RANGE_END,
    RANGE_START,
    hours_of,
    lanes_of,
)
from fleet_assets.assets.runs import unfinished_runs as unfinished
from fleet_assets.kafka.ranges import ranges_to_land
from partitions.hours import (
    HOUR,
    contiguous_ranges,
    hour_key,
    hour_start,
    hour_window,
    hours_between,
    windows,
)
from partitions.planning import LONGEST_RANGE, HourProgress, PlannedRun, plan_refresh

NOW = datetime(2026, 2, 1, 5, 30, tzinfo=UTC)
GRACE, LATE_INTERVAL = timedelta(minutes=5), timedelta(minutes=10)
CURRENT, BEFORE, OLD = "2026-02-01T05", "2026-02-01T04", "2026-01-20T10"

moments = st.integers(0, 250_000_000_000).map(lambda s: datetime.fromtimestamp(s, UTC))
hour_sets = st.sets(st.integers(0, 400), max_size=120).map(
    lambda numbers: {hour_key(NOW + n * HOUR) for n in numbers}
)


def plan(
    *hours: HourProgress, busy: frozenset[str] = frozenset(), lanes: frozenset[str] = frozenset()
) -> list[PlannedRun]:
    return plan_refresh(hours, busy, lanes, NOW, GRACE, LATE_INTERVAL)


def hours_in(run: PlannedRun) -> list[str]:
    return list(run.hours or hours_between(run.first, run.last))


def test_nothing_is_planned_for_hours_that_are_shown() -> None:
    assert plan(HourProgress(OLD, 3, shown_version=3), HourProgress(CURRENT, 5, 7)) == []


def test_fresh_hours_go_first_and_apart_from_history() -> None:
    assert plan(HourProgress(OLD, 1), HourProgress(CURRENT, 1), HourProgress(BEFORE, 1)) == [
        PlannedRun("fresh", CURRENT, CURRENT),
        PlannedRun("history", OLD, BEFORE, (OLD, BEFORE)),
    ]


def test_a_year_of_backlog_takes_no_place_of_the_fresh_hour() -> None:
    backlog = [HourProgress(hour_key(NOW - n * HOUR), 1) for n in range(1, 8_760)]
    all_lanes = frozenset({"history", "history-2", "retry"})
    busy = frozenset(hour.event_hour for hour in backlog[:96])
    planned = plan(*backlog, HourProgress(CURRENT, 1), busy=busy, lanes=all_lanes)
    assert planned == [PlannedRun("fresh", CURRENT, CURRENT)]


@pytest.mark.parametrize(
    ("age", "due"), [(timedelta(0), False), (LATE_INTERVAL / 2, False), (LATE_INTERVAL, True)]
)
def test_a_closed_hour_is_refreshed_at_most_once_in_the_late_interval(
    age: timedelta, due: bool
) -> None:
    hour = HourProgress(OLD, 2, shown_version=1, shown_at=NOW - age)
    assert bool(plan(hour)) is due


def test_the_late_interval_holds_back_neither_the_current_hour_nor_a_registered_vehicle() -> None:
    assert plan(HourProgress(CURRENT, 2, 1, shown_at=NOW))
    assert plan(HourProgress(OLD, 1, 1, shown_at=NOW, requeued=True))


def test_a_load_that_the_marts_do_not_show_is_caught_up_with_once_nobody_else_will() -> None:
    rested = HourProgress(OLD, 1, 1, NOW - timedelta(hours=1), loaded_version=1, unshown=True)
    (run,) = plan(rested)
    assert hours_in(run) == [OLD]
    assert plan(rested, lanes=frozenset({"fresh"})) == []  # its dbt step shows this hour, too
    assert plan(rested, busy=frozenset({OLD})) == []


def test_an_hour_counts_as_fresh_for_the_grace_after_its_end() -> None:
    at_end = hour_start(CURRENT)
    hour = HourProgress(BEFORE, 1)
    lanes = [
        plan_refresh([hour], frozenset(), frozenset(), now, GRACE, LATE_INTERVAL)[0].lane
        for now in (at_end + GRACE - timedelta(seconds=1), at_end + GRACE)
    ]
    assert lanes == ["fresh", "history"]


def test_a_failed_hour_is_tried_alone_and_not_before_its_time() -> None:
    def failed(key: str, wait: timedelta | None) -> HourProgress:
        return HourProgress(key, 1, attempts=2, next_attempt_at=wait and NOW + wait)

    second = timedelta(seconds=1)
    assert plan(failed(OLD, second)) == []
    assert plan(failed(BEFORE, -second), failed(CURRENT, -second), HourProgress(OLD, 1)) == [
        PlannedRun("retry", BEFORE, BEFORE),
        PlannedRun("history", OLD, OLD),
    ]


@pytest.mark.parametrize("step", [timedelta(hours=5), timedelta(days=400)])
def test_a_clock_that_was_put_back_holds_up_no_hour(step: timedelta) -> None:
    """Times that a clock far ahead has written do not have to be lived through again."""
    assert plan(HourProgress(OLD, 2, shown_version=1, shown_at=NOW + step))
    assert plan(HourProgress(OLD, 2, attempts=3, next_attempt_at=NOW + step))


@given(
    st.lists(st.timedeltas(timedelta(days=-3), timedelta(days=3)), min_size=1, max_size=8),
    st.sampled_from([CURRENT, BEFORE, OLD]),
)
def test_whatever_steps_the_clock_makes_a_stale_hour_is_planned_in_the_end(
    steps: list[timedelta], key: str
) -> None:
    hour = HourProgress(key, 2, shown_version=1, shown_at=NOW)
    now = NOW
    for step in steps:
        now += step
    ticks = [now + n * timedelta(minutes=1) for n in range(21)]  # at most twice the interval
    assert any(
        plan_refresh([hour], frozenset(), frozenset(), t, GRACE, LATE_INTERVAL) for t in ticks
    )


def test_hours_and_lanes_that_are_busy_are_not_queued_again() -> None:
    hours = [HourProgress(CURRENT, 1), HourProgress(OLD, 1)]
    assert plan(*hours, busy=frozenset({OLD})) == [PlannedRun("fresh", CURRENT, CURRENT)]
    assert plan(*hours, lanes=frozenset({"fresh"})) == [PlannedRun("history", OLD, OLD)]


def test_history_has_two_lanes_that_never_share_an_hour() -> None:
    far = [hour_key(hour_start(OLD) - 2 * n * HOUR) for n in range(LONGEST_RANGE + 2)]
    first, second = plan(*(HourProgress(key, 1) for key in far))
    assert (first.lane, len(first.hours)) == ("history", LONGEST_RANGE)
    assert (second.lane, second.hours) == ("history-2", tuple(sorted(far)[LONGEST_RANGE:]))
    busy = frozenset(first.hours)
    assert plan(
        *(HourProgress(key, 1) for key in far), busy=busy, lanes=frozenset({"history"})
    ) == [second]


def test_hours_that_lie_apart_share_runs_and_neighbours_are_a_range() -> None:
    neighbours = [hour_key(hour_start(OLD) + n * HOUR) for n in range(5)]
    assert plan(*(HourProgress(key, 1) for key in neighbours)) == [
        PlannedRun("history", OLD, neighbours[-1])
    ]
    years = [hour_key(hour_start(OLD) - n * 111 * HOUR) for n in range(300)]
    waiting, runs = set(years), 0
    while planned := plan(*(HourProgress(key, 1) for key in waiting)):
        runs += len(planned)
        waiting -= {hour for run in planned for hour in hours_in(run)}
    assert waiting == set()
    assert runs == -(-300 // LONGEST_RANGE)


def test_a_late_trickle_costs_bounded_work_per_hour_of_operation() -> None:
    """Messages for 40 closed hours come all the time; a run takes 20 s, a tick comes each 5 s."""
    hours = [hour_key(hour_start(OLD) - 3 * n * HOUR) for n in range(40)]
    shown = dict.fromkeys(hours, NOW - timedelta(days=1))
    under_way: list[tuple[datetime, PlannedRun]] = []
    runs = made = 0
    for tick in range(3600 // 5):
        now = NOW + tick * timedelta(seconds=5)
        for ends, run in [one for one in under_way if one[0] <= now]:
            shown |= dict.fromkeys(hours_in(run), ends)
        under_way = [one for one in under_way if one[0] > now]
        planned = plan_refresh(
            [HourProgress(h, 2, shown_version=1, shown_at=shown[h]) for h in hours],
            frozenset(hour for _, run in under_way for hour in hours_in(run)),
            frozenset(run.lane for _, run in under_way),
            now,
            GRACE,
            LATE_INTERVAL,
        )
        under_way += [(now + timedelta(seconds=20), run) for run in planned]
        runs, made = runs + len(planned), made + sum(len(hours_in(run)) for run in planned)
    most = int(timedelta(hours=1) / LATE_INTERVAL)
    assert runs <= most
    assert made <= most * len(hours)


@given(hour_sets, hour_sets)
def test_a_planned_run_is_short_and_holds_stale_idle_hours_only(
    stale: set[str], busy: set[str]
) -> None:
    for run in plan(*(HourProgress(h, 1) for h in stale), busy=frozenset(busy)):
        hours = hours_in(run)
        assert 1 <= len(hours) <= LONGEST_RANGE
        assert (hours[0], hours[-1]) == (run.first, run.last)
        assert set(hours) <= stale - busy


@given(hour_sets)
def test_planning_again_and_again_works_off_every_hour_once(stale: set[str]) -> None:
    waiting = set(stale)
    while planned := plan(*(HourProgress(h, 1) for h in waiting)):
        for run in planned:
            hours = set(hours_in(run))
            assert hours <= waiting  # none is given to two runs
            waiting -= hours
    assert waiting == set()


# Hours


@given(moments)
def test_a_moment_lies_in_the_window_of_its_key(moment: datetime) -> None:
    start, end = hour_window(hour_key(moment))
    assert start <= moment < end
    assert end - start == HOUR
    assert hour_key(start) == hour_key(moment)


@given(moments, st.integers(-14 * 60, 14 * 60))
def test_a_key_does_not_depend_on_the_time_zone(moment: datetime, offset: int) -> None:
    assert hour_key(moment.astimezone(timezone(timedelta(minutes=offset)))) == hour_key(moment)


@pytest.mark.parametrize("text", ["2026-01-01", "2026-1-1T5", "2026-01-01T05:00", "T05", ""])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not match|is not an hour key|unconverted"):
        hour_start(text)


@given(hour_sets, st.integers(1, 60))
def test_contiguous_ranges_cover_each_hour_once(keys: set[str], longest: int) -> None:
    covered = [h for first, last in contiguous_ranges(keys, longest)
               for h in hours_between(first, last)]  # fmt: skip
    assert covered == sorted(keys)
    assert all(
        len(list(hours_between(first, last))) <= longest
        for first, last in contiguous_ranges(keys, longest)
    )


@given(hour_sets)
def test_windows_cover_exactly_the_hours(keys: set[str]) -> None:
    found = windows(keys)
    assert sum((end - start) // HOUR for start, end in found) == len(keys)
    assert all(before[1] < after[0] for before, after in pairwise(found))


# Offsets

watermarks = st.dictionaries(
    st.integers(0, 11), st.tuples(st.integers(0, 50), st.integers(0, 5000)).map(
        lambda pair: (pair[0], pair[0] + pair[1])
    ), max_size=12,
)  # fmt: skip


@given(watermarks, st.dictionaries(st.integers(0, 11), st.integers(0, 5050)), st.integers(1, 9000))
def test_ranges_are_bounded_and_begin_where_the_lake_ends(
    held: dict[int, tuple[int, int]], landed: dict[int, int], most: int
) -> None:
    ranges = ranges_to_land(held, landed, most)
    for partition, (start, end) in ranges.items():
        assert start == landed.get(partition, held[partition][0])
        assert start < end <= held[partition][1]
    total = sum(end - start for start, end in ranges.values())
    assert total <= max(most, len(ranges))  # never less than one offset a partition
    behind = {p for p, (low, high) in held.items() if landed.get(p, low) < high}
    assert set(ranges) == behind
    missing = sum(held[p][1] - landed.get(p, held[p][0]) for p in behind)
    assert total == missing or total >= most


@given(watermarks, st.integers(1, 700))
def test_landing_again_and_again_reads_everything_once(
    held: dict[int, tuple[int, int]], most: int
) -> None:
    landed: dict[int, int] = {}
    while ranges := ranges_to_land(held, landed, most):
        for partition, (start, end) in ranges.items():
            assert start == landed.get(partition, held[partition][0])
            landed[partition] = end
    assert landed == {p: high for p, (low, high) in held.items() if high > low}


def test_a_large_partition_gets_the_room_that_small_ones_leave() -> None:
    held = {0: (0, 10_000), 1: (0, 10), 2: (0, 10_000)}
    assert ranges_to_land(held, {}, 1010) == {0: (0, 500), 1: (0, 10), 2: (0, 500)}


@given(
    backlog=st.integers(1, 30_000),
    most=st.integers(100, 5_000),
    arriving=st.integers(0, 40),
)
def test_messages_wait_for_what_is_before_them_in_their_partition_and_for_nothing_else(
    backlog: int, most: int, arriving: int
) -> None:
    """Partition 0 has a backlog; `arriving` messages come into each of two during a landing."""
    landed = {0: 0, 1: 0}
    ends = {0: backlog, 1: 0}
    landings = 0
    while landed[0] < backlog:
        ends = {p: end + arriving for p, end in ends.items()}
        ranges = ranges_to_land({p: (0, end) for p, end in ends.items()}, landed, most)
        assert sum(end - start for start, end in ranges.values()) <= most  # bounded memory
        landed |= {partition: end for partition, (_, end) in ranges.items()}
        assert landed[1] == ends[1]  # nothing waits there
        landings += 1
    assert landings <= -(-backlog // (most - arriving))


def test_offsets_that_kafka_has_expired_are_asked_for_so_that_the_loss_is_noted() -> None:
    assert ranges_to_land({0: (100, 120)}, {0: 40}, 1000) == {0: (40, 120)}


# Runs


@dg.job
def work() -> None:
    """A job without steps."""


def run_of(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, **tags: str) -> dg.DagsterRun:
    return instance.create_run_for_job(work, status=status, tags=tags)


def test_runs_tell_which_hours_and_lanes_are_busy() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        status = dg.DagsterRunStatus
        fresh = {RANGE_START: BEFORE, RANGE_END: CURRENT, LANE: "fresh"}
        run_of(instance, status.NOT_STARTED, **fresh)
        run_of(instance, status.STARTED, **{PARTITION: OLD, LANE: "retry"})
        run_of(instance, status.CANCELING)
        run_of(instance, status.SUCCESS, **{PARTITION: "2026-01-01T00", LANE: "history"})
        run_of(instance, status.FAILURE, **{PARTITION: "2026-01-01T01"})
        runs = unfinished(instance)
        assert len(runs) == 3
        assert hours_of(runs) == {OLD, BEFORE, CURRENT}
        assert lanes_of(runs) == {"fresh", "retry"}
        assert len(unfinished(instance, "work")) == 3
        assert unfinished(instance, "landing") == []


def test_runs_over_days_keep_no_hours_busy() -> None:
    day = "2026-01-01"
    with dg.DagsterInstance.ephemeral() as instance:
        status = dg.DagsterRunStatus.STARTED
        run_of(instance, status, **{PARTITION: day, HOURS_TAG: f"{day},2026-01-02"})
        run_of(instance, status, **{RANGE_START: day, RANGE_END: "2026-01-02"})
        run_of(instance, status, **{PARTITION: OLD})
        assert hours_of(unfinished(instance)) == {OLD}
