"""A round of recent telemetry: hours that have changed, what is too old, what is too much.

Readers' view goes by the extent: it is noted before a slice is dropped, and never comes back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from fleet_assets.lake.recent import newest_event, row_numbers, rows_by_slice
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.telemetry.recent import (
    SLICES,
    Extent,
    Level,
    Limits,
    cut_to_size,
    fitting_from,
    missing_slices,
    narrowed,
    wanted_extent,
)
from fleet_assets.warehouse.connection import connect
from fleet_assets.warehouse.recent_slices import Slice, drop_slices, make_slices, slices
from fleet_assets.warehouse.telemetry_recent import (
    NotedHour,
    forget_recent,
    load_recent_hour,
    note_extent,
    noted_extent,
    noted_hours,
)
from fleet_assets.warehouse.turns import alone
from partitions.hours import hour_key, hour_start

AHEAD: Final = timedelta(minutes=15)
"""Slices are there so long before their time."""
BYTES_PER_ROW: Final = 280.0
"""Of a row with its index (`python -m bench.recent`): how much of a large hour fits."""
TURN: Final = "telemetry_recent"


@dataclass
class RecentRound:
    """What a round has done.

    Attributes:
        extent: from when on readers see each level; None: it is switched off.
        wanted: what the ages ask for.
        size: bytes of all slices that readers may see.
        came: rows of the lake that were taken in.
        gone: rows that the lake has no more, or has with other values.
        hours: that were loaded.
        left: hours that a later round loads.
        dropped: slices.
        waiting: slices that a query reads still; new ones do not see them.
    """

    extent: Extent | None
    wanted: Extent
    size: int = 0
    came: int = 0
    gone: int = 0
    hours: int = 0
    left: int = 0
    dropped: int = 0
    waiting: int = 0

    @property
    def is_cut(self) -> bool:
        """Less is there than the ages ask for, because of the bytes."""
        return self.extent is not None and self.extent != self.wanted


def recent_work(lake: Lake, postgres_url: str, limits: Limits, now: datetime) -> str | None:
    """Why a round is to be made now; None: it need not."""
    with connect(postgres_url) as connection:
        there, extent = slices(connection), noted_extent(connection)
        noted = noted_hours(connection)
    if limits.is_off:
        return "it is switched off" if there or extent else None
    wanted = narrowed(wanted_extent(now, limits), extent)
    telemetry = lake.find("telemetry")
    if telemetry is not None and _behind(telemetry, wanted, noted):
        return "telemetry has moved on"
    if _outdated(there, wanted):
        return "slices are past their age"
    return None


def run_recent(
    lake: Lake,
    postgres_url: str,
    limits: Limits,
    now: datetime,
    run_id: str | None,
    *,
    time_limit: timedelta,
    say: Callable[[str], object],
) -> RecentRound:
    """Makes a round; who comes second waits.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        limits: how much is kept.
        now: the time.
        run_id: who loads, for the record.
        time_limit: no hour is begun after it.
        say: is told hour by hour what is done.

    Raises:
        WarehouseError: the server refuses, or stays out of reach through all tries.
    """
    with alone(postgres_url, TURN):
        if limits.is_off:
            return _switched_off(postgres_url, wanted_extent(now, limits))
        work = _Round(lake, postgres_url, limits, now, run_id)
        work.run(time_limit, say)
        return work.done


def _switched_off(postgres_url: str, wanted: Extent) -> RecentRound:
    forget_recent(postgres_url)
    with connect(postgres_url) as connection:
        there = slices(connection)
    waiting = drop_slices(postgres_url, there)
    return RecentRound(None, wanted, dropped=len(there) - len(waiting), waiting=len(waiting))


class _Round:
    """One round, with the extent as it is at the moment."""

    def __init__(
        self, lake: Lake, postgres_url: str, limits: Limits, now: datetime, run_id: str | None
    ) -> None:
        self._lake, self._url, self._limits, self._run_id = lake, postgres_url, limits, run_id
        self._now = now
        wanted = wanted_extent(now, limits)
        with connect(postgres_url) as connection:
            self._extent = narrowed(wanted, noted_extent(connection))
        self.done = RecentRound(self._extent, wanted)

    def run(self, time_limit: timedelta, say: Callable[[str], object]) -> None:
        self._cut()
        telemetry = self._lake.find("telemetry")
        if telemetry is not None:
            self._load(telemetry, time.monotonic() + time_limit.total_seconds(), say)
        outdated = _outdated(self._slices(), self._extent)
        waiting = drop_slices(self._url, outdated)
        self.done.dropped = len(outdated) - len(waiting)
        self.done.waiting = len(waiting)

    def _load(self, telemetry: TableSnapshot, until: float, say: Callable[[str], object]) -> None:
        with connect(self._url) as connection:
            noted = noted_hours(connection)
        behind = _behind(telemetry, self._extent, noted)
        self._make_slices(telemetry, behind)
        for number, (hour, rows_number) in enumerate(behind):
            if hour < hour_key(self._extent.minutes_from):
                break  # cut meanwhile; older ones follow
            if time.monotonic() > until:
                self.done.left = len(behind) - number
                break
            if hour not in noted:
                self._make_fit(telemetry, hour)
            loaded = load_recent_hour(
                self._url, telemetry, hour, rows_number, self._extent, self._run_id
            )
            say(f"{hour}: {loaded.came:,} rows came, {loaded.gone:,} went")
            self.done.hours += 1
            self.done.came += loaded.came
            self.done.gone += loaded.gone
            self._cut()

    def _make_slices(self, telemetry: TableSnapshot, behind: Sequence[tuple[str, int]]) -> None:
        newest = newest_event(telemetry, [hour for hour, _ in behind])
        last = max(filter(None, (self._now + AHEAD, newest)))
        there = self._slices()
        starts: dict[Level, datetime] = {
            "full": self._extent.full_from, "minutes": self._extent.minutes_from,
        }  # fmt: skip
        for level, start in starts.items():
            known = [it.start for it in there if it.level == level and it.state == "attached"]
            make_slices(self._url, level, missing_slices(known, start, last, level))

    def _make_fit(self, telemetry: TableSnapshot, hour: str) -> None:
        """An hour that is loaded as a whole may be larger than all the room."""
        start, end = hour_start(hour), hour_start(hour) + SLICES["minutes"]
        if end <= self._extent.full_from:
            return
        rows = rows_by_slice(telemetry, hour, max(start, self._extent.full_from))
        room = self._limits.most_bytes - self.done.size
        fitting = fitting_from(rows, self._extent.full_from, BYTES_PER_ROW, room)
        self._note(narrowed(self._extent, Extent(fitting, self._extent.minutes_from)))

    def _cut(self) -> None:
        """Notes the extent, with as much cut off as is too much."""
        sizes: dict[Level, dict[datetime, int]] = {"full": {}, "minutes": {}}
        for it in self._slices():
            if it.state == "attached":
                sizes[it.level][it.start] = it.size
        extent = cut_to_size(sizes, self._extent, self._limits.most_bytes)
        begins = {"full": extent.full_from, "minutes": extent.minutes_from}
        self.done.size = sum(
            size for level, of in sizes.items() for start, size in of.items()
            if start >= begins[level]
        )  # fmt: skip
        self._note(extent)

    def _note(self, extent: Extent) -> None:
        self._extent = self.done.extent = extent
        note_extent(
            self._url, extent, is_cut=self.done.is_cut, size=self.done.size,
            most_bytes=self._limits.most_bytes,
        )  # fmt: skip

    def _slices(self) -> list[Slice]:
        with connect(self._url) as connection:
            return slices(connection)


def _behind(
    telemetry: TableSnapshot, extent: Extent, noted: Mapping[str, NotedHour]
) -> list[tuple[str, int]]:
    """Hours of the extent that are not loaded as telemetry has them, the newest first."""
    numbers = row_numbers(telemetry, hour_key(extent.minutes_from))
    return [
        (hour, number)
        for hour, number in sorted(numbers.items(), reverse=True)
        if hour not in noted or noted[hour].rows_number != number
    ]


def _outdated(there: Sequence[Slice], extent: Extent) -> list[Slice]:
    begins: dict[Level, datetime] = {"full": extent.full_from, "minutes": extent.minutes_from}
    return [it for it in there if it.state != "attached" or it.start < begins[it.level]]
