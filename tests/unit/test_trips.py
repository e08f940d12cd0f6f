"""The law of trips: however a history is cut, pieces stitch to what a pass row by row gives."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import asin, cos, radians, sin, sqrt
from statistics import median
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_assets.trips.limits import trip_limits
from fleet_assets.trips.pieces import TRIP_PIECE_SCHEMA, trip_pieces
from fleet_assets.trips.stitch import advance_trips, stitch_trips

LIMITS = trip_limits()
START = datetime(2026, 2, 1, 5, tzinfo=UTC)
MILE = 1609.344
SCHEMA = pl.Schema(
    {
        "vehicle_id": pl.String(),
        "event_time": pl.Datetime("us", "UTC"),
        "conflict": pl.Boolean(),
        "driver_id": pl.String(),
        "private": pl.Boolean(),
        "ignition": pl.Boolean(),
        "speed": pl.Float64(),
        "engine_rpm": pl.Float64(),
        "odometer": pl.Float64(),
        "gps_lat": pl.Float64(),
        "gps_lon": pl.Float64(),
        "fuel_level": pl.Float64(),
        "null_signals": pl.List(pl.String()),
        "invalid_values": pl.String(),
    }
)


@dataclass(frozen=True)
class Row:
    """One message; `second` counts from START."""

    second: int
    speed: float | None = None
    vehicle: str = "a"
    ignition: bool | None = None
    rpm: float | None = None
    odometer: float | None = None
    position: tuple[float, float] | None = None
    driver: str | None = None
    conflict: bool = False
    fuel: float | None = None
    nulls: tuple[str, ...] = ()
    refused: str | None = None
    private: bool | None = None


def table(rows: list[Row]) -> pl.DataFrame:
    ordered = sorted(rows, key=lambda r: (r.vehicle, r.second))
    return pl.DataFrame(
        [
            (r.vehicle, START + timedelta(seconds=r.second), r.conflict, r.driver, r.private,
             r.ignition, r.speed, r.rpm, r.odometer, *(r.position or (None, None)), r.fuel,
             list(r.nulls), None if r.refused is None else f'{{"{r.refused}": {{"value": "9"}}}}')
            for r in ordered
        ],
        schema=SCHEMA, orient="row",
    )  # fmt: skip


def window(rows: list[Row], low: int, high: int) -> pl.DataFrame:
    """Pieces of the rows from `low` to before `high`, with ten minutes of context."""
    start = START + timedelta(seconds=low)
    seen = [r for r in rows if low - 600 <= r.second < high]
    return trip_pieces(table(seen), LIMITS, round(start.timestamp() * 1e6))


def trips(rows: list[Row]) -> list[dict[str, Any]]:
    return stitch_trips(trip_pieces(table(rows), LIMITS), LIMITS).to_dicts()


# A pass row by row, as the words of the definition have it ---------------------------------------


def metres(a: tuple[float, float], b: tuple[float, float]) -> float:
    half = radians(b[0] - a[0]) / 2, radians(b[1] - a[1]) / 2
    chord = sin(half[0]) ** 2 + cos(radians(a[0])) * cos(radians(b[0])) * sin(half[1]) ** 2
    return 2 * 6_371_008.8 * asin(sqrt(chord))


@dataclass
class Pass:
    """One vehicle and one kind."""

    kind: str
    mine: list[Row]
    trips: list[dict[str, Any]] = field(default_factory=list)
    on: list[Row] = field(default_factory=list)
    since: list[Row] = field(default_factory=list)
    said: Row | None = None
    rested: int = 0
    silent: bool = False
    off: bool = False

    def take(self, row: Row) -> None:
        """The next row."""
        signal = row.speed if self.kind == "motion" else row.ignition
        if row.conflict or signal is None:
            self.since.append(row)
            return
        if self.said:
            step = row.second - self.said.second
            if step > 300:
                self.silent = True
            else:
                self.rested += step
        self.said = row
        if not (signal if self.kind == "ignition" else signal >= 5):
            self.off |= self.kind == "ignition"
            self.since.append(row)
            return
        if self.on and not self._goes_on(row):
            self.end()
        self.on = [*self.on, *self.since, row] if self.on else [row]
        self.since, self.rested, self.silent, self.off = [], 0, False, False

    def _goes_on(self, row: Row) -> bool:
        if self.off or self.rested > 300:
            return False
        return not self.silent or self._travels(row)

    def _travels(self, row: Row) -> bool:
        at = self.on[-1]
        least = max(500, (row.second - at.second) / 3600 * 5 * MILE)
        here, there = self._known(row, "position"), self._known(at, "position")
        if here and there and metres(there, here) >= least:
            return True
        now, then = self._known(row, "odometer"), self._known(at, "odometer")
        return None not in (now, then) and (now - then) * MILE >= least

    def _known(self, row: Row, name: str) -> Any:
        """As last known within a minute."""
        values = [
            getattr(r, name) for r in self.mine
            if 0 <= row.second - r.second <= 60 and not r.conflict
        ]  # fmt: skip
        return next((value for value in reversed(values) if value is not None), None)

    def end(self) -> None:
        """The trip ends with its last row that sets."""
        if self.on:
            self.trips.append({"rows": self.on})
        self.on = []


def one_by_one(rows: list[Row]) -> list[tuple[Any, ...]]:
    found = []
    for vehicle in ("a", "b"):
        mine = sorted((r for r in rows if r.vehicle == vehicle), key=lambda r: r.second)
        for kind in ("ignition", "motion"):
            pass_ = Pass(kind, mine)
            for row in mine:
                pass_.take(row)
            pass_.end()
            found += [summary(vehicle, kind, trip["rows"], mine) for trip in pass_.trips]
    return found


def summary(vehicle: str, kind: str, inside: list[Row], mine: list[Row]) -> tuple[Any, ...]:
    first, last = inside[0].second, inside[-1].second
    clean = [r for r in mine if not r.conflict]
    dirty = [r.second for r in mine if r.conflict]

    def steps(have: list[Row]) -> list[tuple[Row, Row]]:
        return [
            (a, b) for a, b in pairwise(have)
            if first < b.second <= last and not any(a.second < s < b.second for s in dirty)
        ]  # fmt: skip

    by_speed = idle = by_gps = 0.0
    for a, b in steps([r for r in clean if r.speed is not None]):
        passed = b.second - a.second
        if passed <= 60:
            assert a.speed is not None
            assert b.speed is not None
            by_speed += (a.speed + b.speed) / 2 * passed / 3600
            idle += passed if a.speed < 1 and (a.rpm or 0) > 400 else 0
    for a, b in steps([r for r in clean if r.position]):
        assert a.position
        assert b.position
        far, passed = metres(a.position, b.position), b.second - a.second
        jump = far >= 500 and far / passed > 250 * MILE / 3600
        still = far < 5 and (b.speed is None or b.speed < 5)
        by_gps += far if passed <= 300 and not jump and not still else 0
    odometer = [r.odometer for r in inside if r.odometer is not None and not r.conflict]
    fixes = [r.position for r in inside if r.position and not r.conflict]
    speeds = [r.speed for r in inside if r.speed is not None and not r.conflict]
    rpms = [r.rpm for r in inside if r.rpm is not None and not r.conflict]
    drivers = [r.driver for r in inside if r.driver]
    return (
        vehicle, kind, first, last,
        round(by_gps / MILE, 6) if fixes else None,
        round(by_speed, 6) if speeds else None,
        round(odometer[-1] - odometer[0], 6) if odometer else None,
        round(idle, 6) if rpms else None,
        max(speeds, default=None), max(rpms, default=None),
        fixes[0] if fixes else None, fixes[-1] if fixes else None,
        drivers[0] if drivers else None,
        ",".join(sorted({name for r in inside for name in names_of(r)})),
        *fuel_of(inside)[:2], hundredths(fuel_of(inside)[2]),
        max((r.private for r in inside if r.private is not None and not r.conflict), default=None),
        *fuel_used(inside, mine),
    )  # fmt: skip


def names_of(row: Row) -> set[str]:
    """Signals that it names, whatever it says of them."""
    values = {
        "speed": row.speed, "engine_rpm": row.rpm, "odometer": row.odometer, "gps": row.position,
        "fuel_level": row.fuel, "ignition": row.ignition,
    }  # fmt: skip
    told = {name for name, value in values.items() if value is not None}
    return told | set(row.nulls) | ({row.refused} if row.refused else set())


def fuel_of(inside: list[Row]) -> tuple[float | None, float | None, float | None]:
    """Medians of the first of each 30 s, ten at each end, and how far they are off."""
    by_time: dict[int, float] = {}
    epoch = round(START.timestamp())
    for r in inside:
        if r.fuel is not None and not r.conflict:
            by_time.setdefault((epoch + r.second) // 30, r.fuel)
    levels = list(by_time.values())
    ends = levels[:10], levels[-10:]
    if len(levels) < 3:
        return None, None, None
    off = [abs(level - median(end)) for end in ends for level in end]
    return round(median(ends[0]), 6), round(median(ends[1]), 6), round(1.4826 * median(off), 3)


def slot_of(row: Row) -> int:
    return (round(START.timestamp()) + row.second) // 30


def hundredths(noise: float | None) -> float | None:
    """Coarse enough that halves of a thousandth do not matter."""
    return None if noise is None else round(noise, 2)


def fuel_used(
    inside: list[Row], mine: list[Row]
) -> tuple[float | None, float | None, float | None]:
    """Coverage, refuels and what was used, in percent."""
    begins: dict[int, Row] = {}
    levels: dict[int, Row] = {}
    for r in mine:
        begins.setdefault(slot_of(r), r)
        if r.fuel is not None and not r.conflict:
            levels.setdefault(slot_of(r), r)
    span = {r.second for r in inside}
    parts = sum(r.second in span for r in begins.values())
    known = [(slot, r) for slot, r in levels.items() if r.second in span]
    if not parts:
        return None, None, None
    coverage = min(len(known) / parts, 1)
    start, end, noise = fuel_of(inside)
    if start is None or end is None or noise is None:
        return round(coverage, 6), None, None
    rises: list[tuple[int, float]] = []
    falls = [0.0]
    for slot, _ in known:
        now, before = (
            [levels[s].fuel or 0 for s in range(last - 9, last + 1) if s in levels]
            for last in (slot, slot - 10)
        )
        looks_back_inside = slot - 19 >= slot_of(inside[0])
        if min(len(now), len(before)) >= 3:
            rise = round(median(now) - median(before), 6)
            falls.append(-rise)
            rises += [(slot, rise)] if rise >= 8 and looks_back_inside else []
    stretches: list[list[float]] = []
    for number, (slot, rise) in enumerate(rises):
        if number and slot - rises[number - 1][0] <= 20:
            stretches[-1].append(rise)
        else:
            stretches.append([rise])
    refuelled = sum(max(s) for s in stretches if max(s) >= max(8, 4 * noise, *falls))
    used = round(start - end + refuelled, 6)
    is_known = coverage >= 0.8 and used >= max(0, 3 * noise)
    return round(coverage, 6), round(refuelled, 6), used if is_known else None


def as_tuples(found: pl.DataFrame) -> list[tuple[Any, ...]]:
    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 6)

    def position(lat: float | None, lon: float | None) -> tuple[float, float] | None:
        return None if lat is None or lon is None else (lat, lon)

    return [
        (
            t["vehicle_id"], t["trip_kind"],
            round((t["started_at"] - START).total_seconds()),
            round((t["ended_at"] - START).total_seconds()),
            *(rounded(t[name]) for name in
              ("gps_miles", "speed_miles", "odometer_miles", "idle_seconds")),
            t["speed_max_mph"], t["rpm_max"],
            position(t["start_lat"], t["start_lon"]), position(t["end_lat"], t["end_lon"]),
            t["driver_id"], t["signals"],
            *(rounded(t[f"fuel_{name}_percent"]) for name in ("start", "end")),
            hundredths(t["fuel_noise_percent"]),
            t["is_private"], *(rounded(t[name]) for name in
              ("fuel_coverage", "refuelled_percent", "fuel_used_percent")),
        )
        for t in found.sort("vehicle_id", "trip_kind", "started_at").to_dicts()
    ]  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    rows = []
    # 150 s and 151 s beside a short step: just 5 minutes, and just more
    steps = st.sampled_from([1, 10, 60, 61, 149, 150, 151, 300, 301, 900])
    for vehicle in ("a", "b"):
        second, place, miles = 0, 0, 100.0
        for _ in range(draw(st.integers(0, 14))):
            second += draw(steps)
            place += draw(st.sampled_from([0, 0, 30, 5000, 90_000]))
            miles += draw(st.sampled_from([0.0, 0.25, 1.0]))
            rows.append(
                Row(
                    second,
                    draw(st.sampled_from([None, 0.0, 0.5, 4.9, 5.0, 40.0])),
                    vehicle,
                    draw(st.sampled_from([None, True, True, False])),
                    draw(st.sampled_from([None, 0.0, 800.0])),
                    miles if draw(st.booleans()) else None,
                    (48.0 + place / 1e6, 9.0) if draw(st.booleans()) else None,
                    draw(st.sampled_from([None, "d1", "d2"])),
                    draw(st.sampled_from([False, False, False, True])),
                    draw(st.sampled_from([None, 20.0, 55.1, 80.0])),
                    draw(st.sampled_from([(), (), ("coolant_temp",), ("speed", "heading")])),
                    draw(st.sampled_from([None, None, "engine_rpm"])),
                    draw(st.sampled_from([None, False, True])),
                )
            )
    return [replace(r, driver=None) if r.conflict else r for r in rows]


@st.composite
def fuelled(draw: st.DrawFn) -> list[Row]:
    """An hour on the way, with a level that jumps, is unsteady, and is not always there."""
    random = draw(st.randoms(use_true_random=False))
    step = draw(st.sampled_from([10, 20, 45]))
    unrest = draw(st.sampled_from([0.0, 0.5, 4.0]))
    jumps = {
        draw(st.integers(0, 3600)): draw(st.sampled_from([-20.0, 9.0, 30.0])) for _ in range(3)
    }
    there = draw(st.sampled_from([0.3, 0.8, 1.0]))
    rows = []
    for second in range(0, 3600, step):
        if random.random() < 0.05:
            continue
        level = 50 - second / 600 + sum(by for at, by in jumps.items() if at <= second)
        fuel = round(min(max(level + random.uniform(-unrest, unrest), 0), 100), 1)
        rows.append(Row(second, 40.0, fuel=fuel if random.random() < there else None))
    return rows


@settings(deadline=None, max_examples=60)
@given(histories() | fuelled(), st.sets(st.integers(0, 3000), max_size=6), st.randoms())
def test_any_cut_and_any_order_of_windows_give_the_trips_of_one_pass(
    rows: list[Row], cuts: set[int], random: Any
) -> None:
    expected = one_by_one(rows)
    whole = stitch_trips(trip_pieces(table(rows), LIMITS), LIMITS)
    assert as_tuples(whole) == expected
    bounds = [0, *sorted(cuts), 10**6]
    windows = [window(rows, low, high) for low, high in pairwise(bounds)]
    ended, open_ = [], TRIP_PIECE_SCHEMA.to_frame()
    for part in windows:
        done, open_ = advance_trips(open_, part, LIMITS)
        ended.append(done)
    carried = pl.concat([*ended, stitch_trips(open_, LIMITS)])
    random.shuffle(windows)
    stitched = stitch_trips(pl.concat(windows), LIMITS)
    assert stitched.equals(whole)  # to the last bit
    assert carried.sort("vehicle_id", "trip_kind", "started_at").equals(whole)


# Drives as a driver would tell them --------------------------------------------------------------


def drive(start: int, seconds: int, mph: float, **more: Any) -> list[Row]:
    """A row every 10 s."""
    return [Row(s, mph, **more) for s in range(start, start + seconds + 1, 10)]


def spans(rows: list[Row], kind: str = "motion") -> list[tuple[float, float]]:
    return [
        ((t["started_at"] - START).total_seconds(), (t["ended_at"] - START).total_seconds())
        for t in trips(rows) if t["trip_kind"] == kind
    ]  # fmt: skip


def test_a_stop_at_a_red_light_does_not_end_a_trip_and_lunch_does() -> None:
    light = [*drive(0, 600, 30), *drive(610, 240, 0), *drive(860, 600, 30)]
    assert spans(light) == [(0, 1460)]
    lunch = [*drive(0, 600, 30), *drive(610, 1800, 0), *drive(2420, 600, 30)]
    assert spans(lunch) == [(0, 600), (2420, 3020)]


@pytest.mark.parametrize(("mph", "count"), [(4.9, 0), (5.0, 1)])
def test_a_trip_begins_at_five_miles_an_hour(mph: float, count: int) -> None:
    assert len(spans(drive(0, 600, mph))) == count


@pytest.mark.parametrize(
    ("then", "count"),
    [
        ({"position": (48.2, 9.0)}, 1),  # 22 km on: it drove through the silence
        ({"position": (48.0, 9.0)}, 2),
        ({"odometer": 112.0}, 1),
        ({"odometer": 100.1}, 2),
        ({}, 2),
    ],
)
def test_a_silence_ends_a_trip_unless_it_was_travelled(then: dict[str, Any], count: int) -> None:
    before = drive(0, 600, 50, position=(48.0, 9.0), odometer=100.0)
    assert len(spans([*before, *drive(1500, 600, 50, **then)])) == count


def test_a_car_found_elsewhere_the_next_day_was_not_driven_all_night() -> None:
    before = drive(0, 600, 50, position=(48.0, 9.0))
    assert len(spans([*before, *drive(86_400, 600, 50, position=(48.2, 9.0))])) == 2


def test_ignition_off_ends_a_trip_by_ignition_at_once() -> None:
    rows = [
        *drive(0, 100, 0, ignition=True), *drive(110, 10, 0, ignition=False),
        *drive(130, 100, 30, ignition=True),
    ]  # fmt: skip
    assert spans(rows, "ignition") == [(0, 100), (130, 230)]
    assert spans(rows, "motion") == [(130, 230)]


def test_three_ways_of_measuring_an_hour_at_thirty_miles_an_hour() -> None:
    rows = [
        Row(s, 30.0, odometer=s / 120, position=(48 + s / 120 * MILE / 111_195.08, 9.0))
        for s in range(0, 3601, 10)
    ]
    (trip,) = trips(rows)
    for name in ("gps_miles", "speed_miles", "odometer_miles"):
        assert trip[name] == pytest.approx(30, abs=0.01), name


def test_standing_receivers_wander_and_jump_without_adding_miles() -> None:
    moving = drive(0, 60, 20, position=(48.0, 9.0))
    wander = [Row(70 + s, 0.0, position=(48 + s % 2 * 2e-5, 9.0)) for s in range(200)]
    jump = [Row(271, 20.0, position=(49.0, 9.0)), Row(281, 20.0, position=(48.0, 9.0))]
    (trip,) = trips([*moving, *wander, *jump])
    assert trip["gps_miles"] == 0


def test_late_rows_join_two_trips_under_the_id_of_the_first() -> None:
    first, second = drive(0, 600, 30), drive(1200, 600, 30)
    apart = trips([*first, *second])
    (joined,) = trips([*first, *drive(610, 580, 30), *second])
    assert len(apart) == 2
    assert joined["trip_id"] == apart[0]["trip_id"]
    assert joined["speed_miles"] == pytest.approx(15, abs=0.01)


def fuel(rows: list[Row]) -> tuple[float | None, float | None, float | None]:
    (trip,) = (t for t in trips(rows) if t["trip_kind"] == "motion")
    return trip["fuel_coverage"], trip["refuelled_percent"], trip["fuel_used_percent"]


def hour_of_driving(level: Any, every_s: int = 10) -> list[Row]:
    """An hour at 40 mph; `level` tells the fuel in percent by second."""
    return [Row(s, 40.0, fuel=level(s)) for s in range(0, 3600, every_s)]


def test_fuel_used_is_the_fall_between_the_ends() -> None:
    assert fuel(hour_of_driving(lambda s: 60 - s / 360)) == (
        1.0, 0.0, pytest.approx(10 * 3300 / 3600, abs=0.1)
    )  # fmt: skip


def test_a_noisy_level_does_not_use_up_the_tank() -> None:
    """Its falls sum up to hundreds of percent; the hour has used ten."""
    noisy = hour_of_driving(lambda s: 60 - s / 360 + s // 10 % 3 - 1)
    falls = sum(max(0, (a.fuel or 0) - (b.fuel or 0)) for a, b in pairwise(noisy))
    assert falls > 200
    assert fuel(noisy)[2] == pytest.approx(10 * 3300 / 3600, abs=0.5)


def test_fuel_used_below_three_times_the_noise_is_unknown() -> None:
    used = fuel(hour_of_driving(lambda s: 60 - s / 3600 + s // 30 % 3 - 1))
    assert used == (1.0, 0.0, None)


@pytest.mark.parametrize("at_s", [600, 1800, 3000])
def test_refuels_on_the_way_are_added(at_s: int) -> None:
    refuelled = hour_of_driving(lambda s: 30 - s / 360 + (50 if s >= at_s else 0))
    coverage, added, used = fuel(refuelled)
    assert coverage == 1
    assert added == pytest.approx(50, abs=1)
    assert used == pytest.approx(10 * 3300 / 3600, abs=1)


@pytest.mark.parametrize("at_s", [60, 3540])
def test_a_refuel_at_the_very_ends_is_not_counted_twice(at_s: int) -> None:
    refuelled = hour_of_driving(lambda s: 30 - s / 360 + (50 if s >= at_s else 0))
    assert fuel(refuelled)[1:] == (0.0, pytest.approx(10 * 3300 / 3600, abs=0.5))


def test_a_level_that_falls_as_far_by_itself_is_not_refuelled() -> None:
    """On a slope from 10 to 30 minutes."""
    sloping = hour_of_driving(lambda s: 60 - s / 360 - (12 if 600 <= s < 1800 else 0))
    assert fuel(sloping)[1:] == (0.0, pytest.approx(10 * 3300 / 3600, abs=0.1))


def test_a_refuel_before_the_trip_is_not_its_own() -> None:
    standing = [Row(s, 0.0, fuel=10.0 if s < 600 else 90.0) for s in range(0, 900, 10)]
    driving = [replace(r, second=r.second + 900) for r in hour_of_driving(lambda s: 90 - s / 360)]
    assert fuel([*standing, *driving])[1] == 0.0


def test_fuel_used_is_unknown_where_the_level_is_known_for_less_than_four_fifths() -> None:
    known = hour_of_driving(lambda s: 60 - s / 360 if s % 300 < 240 else None)
    assert fuel(known)[2] is not None
    less = hour_of_driving(lambda s: 60 - s / 360 if s % 300 < 210 else None)
    assert fuel(less) == (0.7, 0.0, None)


@pytest.mark.parametrize(
    ("said", "is_private"),
    [((None, None), None), ((False, None), False), ((False, True), True), ((None, True), True)],
)
def test_a_trip_is_private_if_any_message_says_so(
    said: tuple[bool | None, bool | None], is_private: bool | None
) -> None:
    rows = [*drive(0, 300, 30, private=said[0]), *drive(310, 300, 30, private=said[1])]
    (trip,) = trips(rows)
    assert trip["is_private"] is is_private


def test_trips_of_pieces_without_fuel_parts_do_not_know_what_they_used() -> None:
    """As they are in lakes that are older than these columns."""
    pieces = trip_pieces(table(hour_of_driving(lambda s: 60 - s / 360)), LIMITS)
    unknown = pieces.with_columns(
        pl.lit(None, dtype=TRIP_PIECE_SCHEMA[name]).alias(name)
        for name in ("slots", "fuel_slots", "fuel_rises", "is_private")
    )
    (trip,) = stitch_trips(unknown, LIMITS).to_dicts()
    assert trip["fuel_start_percent"] is not None
    assert (trip["fuel_coverage"], trip["refuelled_percent"]) == (None, None)
    assert trip["fuel_used_percent"] is None
