"""The simulation: from options to messages, block by block, the same for every block size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from fleet_assets.fleet_sim.draws import Ints, Stream, uniform
from fleet_assets.fleet_sim.encode import Encoder, Payloads
from fleet_assets.fleet_sim.faults import FAULT_KINDS, FaultKind
from fleet_assets.fleet_sim.fleet import Fleet
from fleet_assets.fleet_sim.legs import Col
from fleet_assets.fleet_sim.planner import Fault, Planner
from fleet_assets.fleet_sim.schedule import FaultSchedule
from fleet_assets.fleet_sim.signals import Samples, Sensors
from fleet_assets.fleet_sim.transport import Messages, Mishaps, Transport

HOUR_MS: Final = 3_600_000


@dataclass(frozen=True)
class Options:
    """What to simulate.

    Attributes:
        vehicles: how many.
        start_ms: first event time, epoch milliseconds.
        span_ms: length in milliseconds; None: for ever.
        seed: same seed and options, same messages.
        interval_ms: time between two samples of a vehicle.
        parked_every: with the engine off only every so-manieth sample is sent.
        mishaps: what goes wrong on the way.
        faults: below 1 a share of the vehicles, else a number (see FaultSchedule).
        fault_kinds: which.
        prefix: of the vehicles' ids.
        skip_ms: leave out this much at the start: the vehicles have driven, nothing is sent.
    """

    vehicles: int
    start_ms: int
    span_ms: int | None
    seed: int = 1
    interval_ms: int = 1000
    parked_every: int = 1
    mishaps: Mishaps = field(default_factory=Mishaps)
    faults: float = 0.0
    fault_kinds: Sequence[FaultKind] = FAULT_KINDS
    prefix: str = "SIM"
    skip_ms: int = 0


class Simulation:
    """Generates the messages in order of delivery.

    Args:
        options: what to simulate.
        fleet: its vehicles, where they are known already.
    """

    def __init__(self, options: Options, fleet: Fleet | None = None) -> None:
        self.options = options
        self.fleet = fleet or Fleet(options.vehicles, options.seed, options.prefix)
        span_s = None if options.span_ms is None else options.span_ms / 1000.0
        schedule = (
            FaultSchedule(self.fleet, options.faults, options.fault_kinds, span_s)
            if options.faults > 0
            else None
        )
        self._planner = Planner(self.fleet, schedule)
        self._sensors, self._encoder = Sensors(self.fleet), Encoder(self.fleet)
        u = uniform(options.seed, Stream.PHASE, self.fleet.index, 0)
        self._phase_ms = (u * options.interval_ms).astype(np.int64)
        self._transport = Transport(
            options.mishaps, options.seed, options.vehicles, options.interval_ms, options.start_ms
        )
        self._next = options.skip_ms // options.interval_ms
        self.pass_over(options.skip_ms)

    def pass_over(self, until_ms: int, since_ms: int = 0) -> None:
        """Vehicles drive on from one time since the start to another, and nothing is sent."""
        for begin_ms in range(since_ms, until_ms, HOUR_MS):  # in steps, for the memory's sake
            end_ms = begin_ms + HOUR_MS
            if end_ms <= until_ms:
                self._planner.cover(begin_ms / 1000.0, end_ms / 1000.0)

    @property
    def samples_total(self) -> int | None:
        """Samples of each vehicle in the whole span; None: endless."""
        span = self.options.span_ms
        return None if span is None else max(span // self.options.interval_ms, 1)

    @property
    def now_ms(self) -> int:
        """Event time up to which messages have been generated."""
        return self.options.start_ms + self._next * self.options.interval_ms

    @property
    def faults(self) -> list[Fault]:
        """Ground truth of what has been planned so far (times in seconds from the start)."""
        return self._planner.faults

    def block(self, messages: int) -> Messages | None:
        """The next messages, about so many; None after the end.

        The last block also brings the late messages that are still under way.
        """
        total = self.samples_total
        if total is not None and self._next >= total:
            return None
        steps = max(messages // self.options.vehicles, 1)
        until = self._next + steps if total is None else min(self._next + steps, total)
        samples, payloads = self._generate(self._next, until)
        self._next = until
        return self._transport.carry(samples, payloads, None if until == total else self.now_ms)

    def _generate(self, first: int, until: int) -> tuple[Samples, Payloads]:
        samples = self.samples(first, until)
        return samples, self._encoder.encode(samples)

    def samples(self, first: int, until: int) -> Samples:
        """Samples number ``first`` to ``until`` (exclusive) of all vehicles; in time order only."""
        interval = self.options.interval_ms
        self._planner.cover(first * interval / 1000.0, until * interval / 1000.0)
        pieces, owner = self._planner.pieces, self._planner.owner
        # The samples of a piece are those whose time is at or after its start and before its end.
        phase = self._phase_ms[owner]
        begin = _first_sample(pieces[Col.START], phase, interval)
        end = np.empty_like(begin)
        end[:-1] = begin[1:]
        end[np.append(owner[1:] != owner[:-1], True)] = until
        begin, end = np.clip(begin, first, until), np.clip(end, first, until)
        count = end - begin
        piece = np.repeat(np.arange(count.size), count)
        number: Ints = np.arange(piece.size) + np.repeat(begin - (np.cumsum(count) - count), count)
        if self.options.parked_every > 1:
            kept = (pieces[Col.ENGINE][piece] > 0) | (number % self.options.parked_every == 0)
            piece, number = piece[kept], number[kept]
        vehicle = owner[piece]
        since_ms = number * interval + self._phase_ms[vehicle]
        return self._sensors.sample(
            pieces, piece, vehicle, number, since_ms / 1000.0, self.options.start_ms + since_ms
        )


def _first_sample(start_s: np.ndarray, phase_ms: Ints, interval_ms: int) -> Ints:
    """Number of the first sample at or after a time."""
    return np.asarray(np.ceil((start_s * 1000.0 - phase_ms) / interval_ms)).astype(np.int64)
