"""Runs a simulation into a sink at a rate, counting what was really sent."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any, Final

from fleet_assets.fleet_sim.manifest import Manifest, write_manifest
from fleet_assets.fleet_sim.pacing import Pacer
from fleet_assets.fleet_sim.progress import Progress
from fleet_assets.fleet_sim.simulation import Simulation
from fleet_assets.fleet_sim.sinks import Sink
from fleet_assets.fleet_sim.times import Rate, iso, now_ms
from fleet_assets.fleet_sim.transport import Messages
from fleet_assets.fleet_sim.truth import truth_rows, write_truth

BLOCK: Final = 150_000
"""Messages generated at a time when nothing holds them back; bounds the memory."""
LIVE_BLOCK_S: Final = 5.0
"""In step with the clock, this much is generated at a time."""
REPORT_EVERY_S: Final = 30.0
"""An endless simulation rewrites its manifest and ground truth this often."""


@dataclass(frozen=True)
class Reports:
    """Files to write beside the messages; None: not wanted."""

    manifest: Path | None = None
    truth: Path | None = None


class Runner:
    """One run.

    Args:
        simulation: what to send.
        sink: where to; entered by the caller.
        rate: how fast.
        reports: what to write beside it.
        progress: where to show how it goes.
        follow_clock: with ``1x``, catch up with the wall clock first (the demo's back-fill).
    """

    def __init__(
        self, simulation: Simulation, sink: Sink, rate: Rate, reports: Reports,
        progress: Progress, *, follow_clock: bool = False,
    ) -> None:  # fmt: skip
        self._simulation, self._sink, self._rate = simulation, sink, rate
        self._reports, self._progress = reports, progress
        self.manifest = Manifest(simulation.fleet.ids)
        self.stop = Event()
        self._offset_ms = 0 if follow_clock else now_ms() - simulation.options.start_ms
        self._reported = time.monotonic()
        self.finished = False

    def run(self) -> None:
        """Send until the span is over or somebody asks to stop."""
        pacer = Pacer(self._rate, self.stop, self._offset_ms)
        while not self.stop.is_set():
            batch = self._simulation.block(self._block_size())
            if batch is None:
                break
            ending = self._simulation.now_ms
            # What would be delivered after the end comes at the end.
            delivery = batch.delivery_ms.clip(max=ending)
            for part in pacer.slices(delivery):
                self._send(batch.take(part))
        self.finished = not self.stop.is_set()

    def _block_size(self) -> int:
        options = self._simulation.options
        per_second = options.vehicles * 1000.0 / options.interval_ms
        if self._rate == "max":
            return BLOCK
        if self._rate == "1x":
            behind_s = (now_ms() - self._offset_ms - self._simulation.now_ms) / 1000.0
            return int(min(BLOCK, per_second * max(LIVE_BLOCK_S, behind_s)))
        return int(min(BLOCK, max(float(self._rate), 1.0)))

    def _send(self, part: Messages) -> None:
        keys = self._simulation.fleet.key_bytes
        self._sink.send([keys[v] for v in part.vehicle.tolist()], part.payload.tolist())
        self.manifest.add(part)
        self._progress.advance(len(part))
        endless = self._simulation.options.span_ms is None
        if endless and time.monotonic() - self._reported > REPORT_EVERY_S:
            self.report()
            self._reported = time.monotonic()

    def report(self) -> None:
        """Write the files that were asked for, about what has been sent so far."""
        simulation, last = self._simulation, self.manifest.last_event_ms
        options = simulation.options
        rows: list[dict[str, Any]] = []
        if last is not None:
            rows = truth_rows(
                simulation.faults,
                simulation.fleet.ids,
                options.start_ms,
                last,
                options.start_ms + options.skip_ms,
            )
        if self._reports.truth is not None:
            write_truth(self._reports.truth, rows)
        if self._reports.manifest is not None:
            faults: dict[str, int] = {}
            for row in rows:
                faults[row["kind"]] = faults.get(row["kind"], 0) + 1
            settings = asdict(options) | {"start": iso(options.start_ms)}
            content = {
                "complete": self.finished and self._sink.acknowledged == self.manifest.messages,
                "options": settings,
                "acknowledged": self._sink.acknowledged,
                "faults": faults,
            }
            write_manifest(self._reports.manifest, content | self.manifest.summary())


@contextmanager
def stopping(stop: Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM set ``stop``; a second Ctrl-C ends at once."""

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
