"""Recent telemetry: what is kept, what is cut, and in which form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from hypothesis import given
from hypothesis import strategies as st
from warehouse_data import contract_rows

from fleet_assets.telemetry.recent import (
    COLUMNS,
    NEVER_CUT,
    SLICES,
    Extent,
    Level,
    Limits,
    cut_to_size,
    first_of_minutes,
    fitting_from,
    missing_slices,
    narrowed,
    recent_form,
    slice_start,
    wanted_extent,
)

MARTS = Path(__file__).parents[2] / "dbt_project" / "models" / "marts"
NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)
LEVELS: tuple[Level, ...] = ("full", "minutes")
moments = st.timedeltas(timedelta(0), timedelta(days=60)).map(lambda past: NOON - past)
ages = st.timedeltas(timedelta(0), timedelta(days=3))
levels = st.sampled_from(LEVELS)


def sizes_of(level: Level) -> st.SearchStrategy[dict[datetime, int]]:
    numbers = st.integers(0, 30).map(lambda number: NOON - number * SLICES[level])
    return st.dictionaries(numbers, st.integers(0, 1000))


@given(moments, ages, ages)
def test_what_is_wanted_covers_both_ages_and_at_most_a_slice_more(
    now: datetime, full: timedelta, minutes: timedelta
) -> None:
    wanted = wanted_extent(now, Limits(full, minutes, 1))
    assert now - full - SLICES["full"] < wanted.full_from <= now - full
    oldest = now - max(full, minutes)
    assert oldest - SLICES["minutes"] < wanted.minutes_from <= oldest
    assert wanted.minutes_from <= wanted.full_from


@given(levels, moments, st.timedeltas(timedelta(0), timedelta(days=2)), st.data())
def test_missing_slices_and_those_that_are_there_cover_the_span_once(
    level: Level, start: datetime, length: timedelta, data: st.DataObject
) -> None:
    end = start + length
    everything = missing_slices([], start, end, level)
    assert everything[0] <= start
    assert everything[-1] <= end < everything[-1] + SLICES[level]
    steps = {b - a for a, b in pairwise(everything)}
    assert steps <= {SLICES[level]}
    assert all(slice_start(moment, level) == moment for moment in everything)
    there = data.draw(st.sets(st.sampled_from(everything)))
    missing = missing_slices(there, start, end, level)
    assert sorted([*there, *missing]) == everything


@given(sizes_of("full"), sizes_of("minutes"), st.integers(0, 40_000))
def test_the_cut_fits_or_only_the_newest_slices_are_left(
    full: dict[datetime, int], minutes: dict[datetime, int], most: int
) -> None:
    extent = Extent(NOON - timedelta(hours=1), NOON - timedelta(days=1))
    sizes: dict[Level, dict[datetime, int]] = {"full": full, "minutes": minutes}
    cut = cut_to_size(sizes, extent, most)
    assert narrowed(extent, cut) == cut, "it never grows"
    begins: dict[Level, datetime] = {"full": cut.full_from, "minutes": cut.minutes_from}
    kept = {level: [s for s in sizes[level] if s >= begins[level]] for level in LEVELS}
    total = sum(sizes[level][start] for level in LEVELS for start in kept[level])
    newest_only = all(len(kept[level]) <= NEVER_CUT[level] for level in LEVELS)
    assert total <= most or newest_only
    if cut.minutes_from > extent.minutes_from:
        assert len(kept["full"]) <= NEVER_CUT["full"], "full rows go first"
    if cut != extent:  # no slice too many: with the one that went last it would not fit
        last: Level = "minutes" if cut.minutes_from > extent.minutes_from else "full"
        assert total + sizes[last][begins[last] - SLICES[last]] > most
    assert cut_to_size(sizes, cut, most) == cut


@given(sizes_of("full"), st.integers(0, 20_000))
def test_what_is_loaded_of_a_large_hour_fits(rows: dict[datetime, int], room: int) -> None:
    begin = NOON - timedelta(hours=1)
    fitting = fitting_from(rows, begin, 2.0, room)
    assert fitting >= begin
    kept = [start for start in rows if start >= fitting]
    assert sum(rows[start] for start in kept) * 2 <= room or len(kept) <= NEVER_CUT["full"]


def test_rows_keep_their_values_and_lists_become_arrays() -> None:
    rows = contract_rows(
        "telemetry",
        {"vehicle_id": "v1", "event_time": NOON, "speed": 65.3, "dtc": ["P0300", 'a"\\'],
         "null_signals": [], "conflict": False, "private": True},
    )  # fmt: skip
    (row,) = recent_form(rows.lazy()).collect().iter_rows(named=True)
    assert (row["speed"], row["engine_rpm"], row["private"]) == (65.3, None, True)
    assert row["dtc"] == '{"P0300","a\\"\\\\"}'
    assert row["null_signals"] == "{}"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 400)), unique=True))
def test_the_first_row_of_each_minute_is_one_of_them(seen: list[tuple[str, int]]) -> None:
    rows = pl.DataFrame(
        [(vehicle, NOON + timedelta(seconds=second)) for vehicle, second in seen],
        schema={"vehicle_id": pl.String, "event_time": pl.Datetime("us", "UTC")},
        orient="row",
    )
    firsts: dict[tuple[str, int], int] = {}
    for vehicle, second in seen:
        key = (vehicle, second // 60)
        firsts[key] = min(second, firsts.get(key, second))
    found = {
        (vehicle, round((at - NOON).total_seconds()))
        for vehicle, at in first_of_minutes(rows).iter_rows()
    }
    assert found == {(vehicle, second) for (vehicle, _), second in firsts.items()}


def described(mart: str) -> dict[str, Any]:
    (model,) = yaml.safe_load((MARTS / f"{mart}.yml").read_text())["models"]
    return {column["name"]: column for column in model["columns"]}


def test_the_marts_say_of_each_column_what_the_contract_says() -> None:
    for mart, besides in (
        ("telemetry_recent", {"fleet_id", "resolution"}),
        ("telemetry_minutes", {"fleet_id"}),
    ):
        told = described(mart)
        assert set(told) == {column.name for column in COLUMNS} | besides
        for column in COLUMNS:
            unit = f" [{column.unit}]" if column.unit else ""
            assert told[column.name]["description"] == column.description + unit
            if column.dtype.is_decimal():
                assert told[column.name]["data_type"] == "double precision"
