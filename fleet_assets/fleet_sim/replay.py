"""Sends a recording again: bytes as they are, or with its trips moved to another time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np

from fleet_assets.fleet_sim.draws import Ints
from fleet_assets.fleet_sim.pacing import Pacer
from fleet_assets.fleet_sim.progress import Progress
from fleet_assets.fleet_sim.rebase import shifts
from fleet_assets.fleet_sim.recording import head, read_lines, with_time
from fleet_assets.fleet_sim.sinks import Sink
from fleet_assets.fleet_sim.times import Rate, now_ms


@dataclass(frozen=True)
class Recorded:
    """Messages to send: key, line and event time (epoch milliseconds) of each."""

    keys: list[bytes | None]
    lines: list[bytes]
    time_ms: Ints


@dataclass
class Outcome:
    """What was sent; ``unreadable`` lines went as they were, without a key."""

    sent: int = 0
    unreadable: int = 0
    first_ms: int | None = None
    last_ms: int | None = None


class Replay:
    """One replay.

    Args:
        path: NDJSON, plain or zstd.
        end_ms: where the vehicles' last trips end, epoch milliseconds; None: times as they are.
        limit: first so many lines only.
        in_order: sort by time (``1x`` needs it after a rebase); keeps all lines in memory.
    """

    def __init__(
        self, path: Path, end_ms: int | None, limit: int | None, *, in_order: bool
    ) -> None:
        self._path, self._limit, self._end_ms = path, limit, end_ms
        self._in_order = in_order and end_ms is not None
        self.outcome = Outcome()
        self.stop = Event()

    def run(self, sink: Sink, rate: Rate, progress: Progress) -> None:
        """Send everything, until done or asked to stop."""
        pacer: Pacer | None = None
        for batch in self.batches():
            if pacer is None:
                first = int(batch.time_ms[0])
                pacer = Pacer(rate, self.stop, now_ms() - first)
            for part in pacer.slices(np.maximum.accumulate(batch.time_ms)):
                sink.send(batch.keys[part], batch.lines[part])
                self._count(batch, part)
                progress.advance(part.stop - part.start)
            if self.stop.is_set():
                break

    def _count(self, batch: Recorded, part: slice) -> None:
        it, keys, times = self.outcome, batch.keys[part], batch.time_ms[part]
        readable = np.array([key is not None for key in keys])
        it.sent += len(keys)
        it.unreadable += int((~readable).sum())
        if readable.any():
            low, high = int(times[readable].min()), int(times[readable].max())
            it.first_ms = low if it.first_ms is None else min(it.first_ms, low)
            it.last_ms = high if it.last_ms is None else max(it.last_ms, high)

    def batches(self) -> Iterator[Recorded]:
        """What is to be sent, in order."""
        if self._end_ms is None:
            yield from self._moved(None)
            return
        moved = self._moved(self._shifts(self._end_ms))
        yield from [_sorted(list(moved))] if self._in_order else moved

    def _shifts(self, end_ms: int) -> Ints:
        """Shift of every line of the file; 0 for unreadable ones."""
        numbers: dict[str, int] = {}
        vehicle, times, coarse, readable = [], [], [], []
        for chunk in read_lines(self._path, self._limit):
            for line in chunk:
                found = head(line)
                readable.append(found is not None)
                if found is not None:
                    vehicle.append(numbers.setdefault(found[0], len(numbers)))
                    times.append(found[2])
                    coarse.append(found[3])
            if self.stop.is_set():
                break
        result = np.zeros(len(readable), np.int64)
        result[np.array(readable, np.bool_)] = shifts(
            np.array(vehicle, np.int64),
            np.array(times, np.int64),
            np.array(coarse, np.bool_),
            end_ms,
        )
        return result

    def _moved(self, by_ms: Ints | None) -> Iterator[Recorded]:
        at, clock = 0, 0
        keys_of: dict[str, bytes] = {}
        for chunk in read_lines(self._path, self._limit):
            moves = None if by_ms is None else by_ms[at : at + len(chunk)].tolist()
            at += len(chunk)
            keys: list[bytes | None] = []
            lines, times = [], []
            for i, line in enumerate(chunk):
                found = head(line)
                if found is None:  # goes with the line before it
                    keys.append(None)
                    lines.append(line)
                    times.append(clock)
                    continue
                vehicle, timestamp, clock, _ = found
                if moves is not None and moves[i]:
                    line = with_time(line, timestamp, moves[i])
                    clock += moves[i]
                key = keys_of.get(vehicle)
                if key is None:
                    key = keys_of[vehicle] = vehicle.encode()
                keys.append(key)
                lines.append(line)
                times.append(clock)
            yield Recorded(keys, lines, np.array(times, np.int64))


def _sorted(batches: list[Recorded]) -> Recorded:
    times = np.concatenate([b.time_ms for b in batches]) if batches else np.empty(0, np.int64)
    keys = [key for b in batches for key in b.keys]
    lines = [line for b in batches for line in b.lines]
    order = np.argsort(times, kind="stable")
    return Recorded([keys[i] for i in order], [lines[i] for i in order], times[order])
