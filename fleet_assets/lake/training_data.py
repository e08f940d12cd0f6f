"""Which vehicle-days models are trained or compared on, and their telemetry.

Vehicles and days are chosen by hashes, so the same lake and seed give the same choice. What is read
at a time does not grow with the fleet: a bounded number of vehicles, some days after each other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain, zip_longest
from typing import Final

import polars as pl

from fleet_assets.contracts.signals import NUMBERS
from fleet_assets.features.blocks import CONTEXT
from fleet_assets.injection.catalogue import read_catalogue
from fleet_assets.injection.draws import Split, digest, split_of
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import app_id, rows_id
from fleet_assets.lake.segments import ELIGIBILITY
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.lake.usual_intervals import UNKNOWN_S
from partitions.hours import HOUR, hour_key, hour_start

VEHICLE_HOURS: Final = "vehicle_hours"
LEAST_DRIVEN: Final = timedelta(minutes=5)
"""Hours in which a vehicle's engine ran, or it sent, for less are left out at the ends of a day."""
LEAST_DAYS: Final = 3
"""A vehicle's hours are spread over at least so many days, if it has them."""
TIME: Final = pl.Datetime("us", "UTC")
CHUNK_ROWS: Final = 400_000
"""About so many rows of telemetry are read at a time."""
_COLUMNS: Final = [
    "vehicle_id", "event_time", "conflict", "null_signals",
    *(signal.name for signal in NUMBERS),
]  # fmt: skip


@dataclass(frozen=True)
class Span:
    """Days (UTC), both included."""

    first_day: date
    last_day: date

    @property
    def days(self) -> int:
        """How many."""
        return (self.last_day - self.first_day).days + 1


@dataclass(frozen=True)
class Wanted:
    """How much is wanted.

    Attributes:
        split: days that are for training, or those for evaluation.
        seed: another one chooses other vehicles and days.
        most_vehicles: of all groups together, as many of each as there are.
        hours: of driving, in all.
        hours_of_vehicle: least and most of one vehicle; within these the hours are shared out.
    """

    split: Split
    seed: str
    most_vehicles: int = 125
    hours: float = 1000.0
    hours_of_vehicle: tuple[float, float] = (8.0, 40.0)


@dataclass(frozen=True)
class VehicleDay:
    """Hours of a vehicle on a day: from one hour's begin to another one's end.

    Attributes:
        first_hour: key of an event hour.
        last_hour: key of the same day; it is included.
        driven_hours: in which it was driven, of those.
    """

    vehicle_id: str
    day: date
    first_hour: str
    last_hour: str
    driven_hours: int

    @property
    def begin(self) -> datetime:
        """First moment."""
        return hour_start(self.first_hour)

    @property
    def end(self) -> datetime:
        """First moment that does not belong to it any more."""
        return hour_start(self.last_hour) + HOUR

    @property
    def hours(self) -> list[str]:
        """Keys of its event hours, with the one before, which windows look back into."""
        count = (self.end - self.begin) // HOUR
        return [hour_key(self.begin + n * HOUR) for n in range(-1, count)]


def days_with_data(lake: Lake) -> list[date]:
    """Days (UTC) of which there are hours of vehicles, in order."""
    table = lake.find(VEHICLE_HOURS)
    if table is None or table.files.is_empty():
        return []
    keys = table.files["event_hour"].str.slice(0, 10).unique().sort()
    return [date.fromisoformat(key) for key in keys]


def newest_span(days: Sequence[date], span_days: int) -> Span | None:
    """The days up to the newest closed one; of a new installation, which has few, all.

    Args:
        days: days with data, in order; the newest one is not closed.
        span_days: how far back.

    Returns:
        None: there is no data.
    """
    if not days:
        return None
    last = days[-2] if len(days) > LEAST_DAYS else days[-1]
    return Span(max(days[0], last - timedelta(days=span_days - 1)), last)


def choose(
    lake: Lake, span: Span, types: Mapping[str, str], wanted: Wanted
) -> tuple[VehicleDay, ...]:
    """Vehicle-days of a span.

    Vehicles take turns by group, each group in an order by hash, so that a small group is not
    drowned. Of each vehicle days are taken whole, in an order by hash, until there are hours
    enough; of days longer than a third of that, so many driven hours in a row.

    Args:
        lake: the lake; `vehicle_hours` says who was driven when.
        span: the days.
        types: group by vehicle; who is missing is left out.
        wanted: how much of it.

    Returns:
        In order of day and vehicle.
    """
    mine = driven_days(lake, span, types, wanted.split)
    vehicles = _in_turns(mine, types, wanted)
    least, most = wanted.hours_of_vehicle
    share = min(max(wanted.hours / max(len(vehicles), 1), least), most)
    chosen = chain.from_iterable(_of_vehicle(who, mine[who], share, wanted) for who in vehicles)
    return tuple(sorted(chosen, key=lambda each: (each.day, each.vehicle_id)))


def driven_days(
    lake: Lake, span: Span, types: Mapping[str, str], split: Split
) -> dict[str, dict[date, list[str]]]:
    """By vehicle and day of a split, the keys of the hours in which it was driven, in order.

    Args:
        lake: the lake.
        span: the days.
        types: its vehicles are wanted.
        split: vehicles without a day of it are left out.
    """
    catalogue = read_catalogue()
    found: dict[str, dict[date, list[str]]] = {}
    driven = _driven_hours(lake, span).filter(pl.col("vehicle_id").is_in(list(types)))
    for who, day, hours in driven.iter_rows():
        if split_of(who, day, catalogue) == split:
            found.setdefault(who, {})[day] = hours
    return found


def newest_hours(who: str, days: Mapping[date, list[str]], hours: float) -> list[VehicleDay]:
    """A vehicle's newest days, so many driven hours in all; of a long day, its newest hours.

    Args:
        who: the vehicle.
        days: by day, the hours in which it was driven.
        hours: wanted.
    """
    longest = _longest(hours)
    found: list[VehicleDay] = []
    for day in sorted(days, reverse=True):
        if sum(each.driven_hours for each in found) >= hours:
            break
        taken = days[day][-longest:]
        found.append(VehicleDay(who, day, taken[0], taken[-1], len(taken)))
    return found


def _longest(hours: float) -> int:
    """Most driven hours of a day, so that they are spread over LEAST_DAYS."""
    return max(LEAST_DAYS, round(hours / LEAST_DAYS))


def _driven_hours(lake: Lake, span: Span) -> pl.DataFrame:
    """`vehicle_id`, `day` and the keys of the hours in which it was driven, in order."""
    table = lake.open(VEHICLE_HOURS)
    first, last = (hour_key(datetime.combine(day, time(), UTC)) for day in _around(span))
    files = table.files.filter(
        pl.col("event_hour").is_between(pl.lit(first), pl.lit(last), closed="left")
    )
    used = pl.coalesce("engine_seconds", "seconds_seen") >= LEAST_DRIVEN.total_seconds()
    rows = table.scan(files).filter(used).select("vehicle_id", "event_hour")
    day = pl.col("event_hour").str.slice(0, 10).str.to_date()
    return (
        rows.group_by("vehicle_id", day=day)
        .agg(pl.col("event_hour").sort())
        .sort("vehicle_id", "day")
        .collect(engine="streaming")
    )


def _around(span: Span) -> tuple[date, date]:
    return span.first_day, span.last_day + timedelta(days=1)


def _in_turns(vehicles: Iterable[str], types: Mapping[str, str], wanted: Wanted) -> list[str]:
    """Vehicles by turns of the groups, each in an order by hash."""
    groups: dict[str, list[str]] = {}
    for who in sorted(vehicles, key=lambda who: digest("vehicles", wanted.seed, who)):
        groups.setdefault(types[who], []).append(who)
    turns = chain.from_iterable(zip_longest(*(groups[name] for name in sorted(groups))))
    return [who for who in turns if who is not None][: wanted.most_vehicles]


def _of_vehicle(
    who: str, days: Mapping[date, list[str]], share: float, wanted: Wanted
) -> Iterator[VehicleDay]:
    longest, left = _longest(share), share
    for day in sorted(days, key=lambda day: digest("days", wanted.seed, who, day)):
        if left <= 0:
            return
        hours = days[day]
        spare = max(len(hours) - longest, 0)
        start = int.from_bytes(digest("hours", wanted.seed, who, day)[:4], "big") % (spare + 1)
        taken = hours[start : start + longest]
        yield VehicleDay(who, day, taken[0], taken[-1], len(taken))
        left -= len(taken)


def data_version(telemetry: TableSnapshot, chosen: Sequence[VehicleDay]) -> str:
    """A hash of how far the telemetry of the hours had come: other rows have another version."""
    marks = all_marks(telemetry.delta)
    hours = sorted({hour for each in chosen for hour in each.hours})
    told = [(hour, marks.get(app_id(hour)), marks.get(rows_id(hour))) for hour in hours]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Chunk:
    """Telemetry of some vehicle-days.

    Attributes:
        days: which.
        telemetry: their rows, and those of the CONTEXT before each.
        intervals: usual seconds between messages by vehicle, as pinned for its first day here.
    """

    days: tuple[VehicleDay, ...]
    telemetry: pl.DataFrame
    intervals: Mapping[str, float]

    def core(self) -> pl.DataFrame:
        """The telemetry without context."""
        return self.telemetry.filter(within(self.telemetry, self.days, "event_time"))

    def of(self, days: Sequence[VehicleDay]) -> pl.DataFrame:
        """The telemetry of some of the days, with context."""
        return self.telemetry.filter(within(self.telemetry, days, "event_time", before=CONTEXT))


def chunks(
    lake: Lake,
    chosen: Sequence[VehicleDay],
    most_rows: int = CHUNK_ROWS,
    *,
    telemetry: TableSnapshot | None = None,
) -> Iterator[Chunk]:
    """Telemetry of vehicle-days, day by day, as many days at a time as fit; all of one snapshot.

    Args:
        lake: the lake.
        chosen: in order of day.
        most_rows: about how many rows at a time.
        telemetry: snapshot of the table, if something else goes by the same one; None: the newest.
    """
    table = telemetry or lake.open("telemetry")
    parts: list[pl.DataFrame] = []
    days: list[VehicleDay] = []
    for day in sorted({each.day for each in chosen}):
        mine = [each for each in chosen if each.day == day]
        parts.append(_telemetry(table, mine))
        days += mine
        if sum(part.height for part in parts) >= most_rows:
            yield _chunk(lake, days, parts)
            parts, days = [], []
    if days:
        yield _chunk(lake, days, parts)


def _chunk(lake: Lake, days: Sequence[VehicleDay], parts: Sequence[pl.DataFrame]) -> Chunk:
    rows = pl.concat(parts).unique(["vehicle_id", "event_time"], keep="first")
    return Chunk(tuple(days), rows.sort("vehicle_id", "event_time"), _intervals(lake, days))


def _telemetry(table: TableSnapshot, days: Sequence[VehicleDay]) -> pl.DataFrame:
    """Rows of vehicle-days of one day, hour by hour: only files and vehicles that are wanted."""
    found = [table.contract.polars_schema.to_frame().select(_COLUMNS)]
    for hour in sorted({hour for each in days for hour in each.hours}):
        vehicles = sorted(each.vehicle_id for each in days if hour in each.hours)
        is_wanted = pl.col("vehicle_id").is_in(vehicles)
        found.append(table.read_files(table.files_of([hour]), _COLUMNS, is_wanted))
    rows = pl.concat(found)
    return rows.filter(within(rows, days, "event_time", before=CONTEXT))


def within(
    rows: pl.DataFrame,
    days: Sequence[VehicleDay],
    column: str,
    *,
    before: timedelta = timedelta(),
) -> pl.Series:
    """Which rows lie within vehicle-days.

    Args:
        rows: `vehicle_id` and a time.
        days: the vehicle-days.
        column: the time; if it is `window_end`, windows of the steps within.
        before: so much of the time before each counts as well.
    """
    spans = pl.DataFrame(
        [(each.vehicle_id, each.begin - before, each.end) for each in days],
        schema={"vehicle_id": pl.String, "begin": TIME, "end": TIME},
        orient="row",
    ).sort("begin")
    moment = pl.col(column) - timedelta(microseconds=1 if column == "window_end" else 0)
    keyed = rows.lazy().select("vehicle_id", moment=moment).with_row_index("row")
    met = keyed.sort("moment").join_asof(
        spans.lazy(), left_on="moment", right_on="begin", by="vehicle_id", strategy="backward",
        check_sortedness=False,
    )  # fmt: skip
    inside = (pl.col("moment") < pl.col("end")).fill_null(value=False)
    return met.sort("row").select(inside.alias("inside")).collect()["inside"]


def _intervals(lake: Lake, days: Sequence[VehicleDay]) -> dict[str, float]:
    """Usual intervals as they are pinned for the first hour of each vehicle's first day here."""
    table = lake.find(ELIGIBILITY)
    if table is None:
        return {}
    first = {each.vehicle_id: each.first_hour for each in reversed(days)}
    files = table.files_of(set(first.values()))
    pins = table.read_files(files, ["vehicle_id", "event_hour", "usual_interval_seconds"])
    wanted = pl.DataFrame(list(first.items()), schema=["vehicle_id", "event_hour"], orient="row")
    mine = pins.join(wanted, on=["vehicle_id", "event_hour"], how="semi")
    known = mine.filter(pl.col("usual_interval_seconds") != UNKNOWN_S)
    return dict(known.select("vehicle_id", "usual_interval_seconds").sort("vehicle_id").iter_rows())
