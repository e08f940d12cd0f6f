"""What happens to messages on their way: late, out of order, sent twice, spoilt.

Event times stay as they are; only the moment (and with it the order) of delivery changes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fleet_assets.fleet_sim.corrupt import NOT_CORRUPT, corrupt
from fleet_assets.fleet_sim.draws import Bools, Floats, Ints, Stream, uniform
from fleet_assets.fleet_sim.encode import Payloads
from fleet_assets.fleet_sim.signals import Samples

COPY_WITHIN_S: Final = 30.0
"""A message that is sent twice comes again within this time."""


@dataclass(frozen=True)
class Mishaps:
    """Shares of all samples, each from 0 to 1, and how late the late ones are in seconds."""

    late: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    late_by_s: tuple[float, float] = (10.0, 7200.0)


@dataclass(frozen=True)
class Messages:
    """Messages in the order in which they are sent; all fields have one entry for each."""

    delivery_ms: Ints
    event_ms: Ints
    vehicle: Ints
    late: Bools
    reordered: Bools
    copy: Bools
    corrupt: NDArray[np.int8]
    """Index of the kind in ``corrupt.KINDS``, or NOT_CORRUPT."""
    payload: Payloads

    def __len__(self) -> int:
        return int(self.vehicle.size)

    def take(self, index: Ints | slice | Bools) -> Messages:
        """Some of the messages."""
        return Messages(*(getattr(self, f.name)[index] for f in fields(self)))


def no_messages() -> Messages:
    """An empty batch."""
    ints, flags = np.empty(0, np.int64), np.empty(0, np.bool_)
    return Messages(
        ints, ints, ints, flags, flags, flags, np.empty(0, np.int8), np.empty(0, object)
    )


class Transport:
    """Carries messages from the vehicles to the sender; late ones wait here.

    Args:
        mishaps: what goes wrong how often.
        seed: of the simulation.
        vehicles: number of vehicles.
        interval_ms: time between two samples of a vehicle.
        start_ms: start of the simulation, epoch milliseconds.
    """

    def __init__(
        self, mishaps: Mishaps, seed: int, vehicles: int, interval_ms: int, start_ms: int
    ) -> None:
        self._mishaps, self._seed, self._interval_ms = mishaps, seed, interval_ms
        self._vehicles, self._start_ms = vehicles, start_ms
        self._waiting = no_messages()

    def carry(self, samples: Samples, payloads: Payloads, until_ms: int | None) -> Messages:
        """Take in new samples; hand out what is due before ``until_ms`` (None: everything)."""
        new = self._dispatch(samples, payloads)
        if len(self._waiting):
            new = _join(self._waiting, new)
        order = np.argsort(self._rank(new), kind="stable")
        new = new.take(order)
        if until_ms is None:
            self._waiting = no_messages()
            return new
        due = int(np.searchsorted(new.delivery_ms, until_ms))
        self._waiting = new.take(slice(due, None))
        return new.take(slice(0, due))

    def _dispatch(self, samples: Samples, payloads: Payloads) -> Messages:
        it, seed = self._mishaps, self._seed
        vehicle, number = samples.vehicle, samples.number
        u = uniform(seed, Stream.TRANSPORT, vehicle, number)
        spoilt = u < it.corrupt
        late = ~spoilt & (u < it.corrupt + it.late)
        reordered = ~spoilt & ~late & (u < it.corrupt + it.late + it.reorder)
        delay = np.zeros(vehicle.size, np.int64)
        rows = np.flatnonzero(late | reordered)
        if rows.size:
            share = uniform(seed, Stream.DELAY, vehicle[rows], number[rows])
            delay[rows] = np.where(late[rows], self._lateness(share), self._swap(share))
        kinds = corrupt(payloads, np.flatnonzero(spoilt), seed, vehicle, number)
        sent = Messages(
            samples.time_ms + delay, samples.time_ms, vehicle, late, reordered,
            np.zeros(vehicle.size, np.bool_), kinds, payloads,
        )  # fmt: skip
        return self._with_copies(sent, number) if it.duplicate > 0 else sent

    def _lateness(self, share: Floats) -> Ints:
        """Milliseconds: spread evenly over the orders of magnitude."""
        low, high = self._mishaps.late_by_s
        return np.asarray(1000.0 * low * (high / low) ** share).astype(np.int64)

    def _swap(self, share: Floats) -> Ints:
        """Milliseconds: past the next one to four samples of the vehicle."""
        return np.asarray((1.5 + 3.0 * share) * self._interval_ms).astype(np.int64)

    def _with_copies(self, sent: Messages, number: Ints) -> Messages:
        u = uniform(self._seed, Stream.COPY, sent.vehicle, number)
        healthy = sent.corrupt == NOT_CORRUPT
        share = self._mishaps.duplicate / max(1.0 - self._mishaps.corrupt, 1e-9)
        rows = np.flatnonzero(healthy & (u < share))
        again = sent.take(rows)
        wait = (u[rows] / share * COPY_WITHIN_S * 1000.0).astype(np.int64)
        copies = replace(
            again, delivery_ms=again.delivery_ms + wait, copy=np.ones(rows.size, np.bool_),
            late=np.zeros(rows.size, np.bool_), reordered=np.zeros(rows.size, np.bool_),
        )  # fmt: skip
        return _join(sent, copies)

    def _rank(self, messages: Messages) -> Ints:
        """Order of delivery; at the same millisecond by vehicle, originals before copies."""
        since = messages.delivery_ms - self._start_ms
        return (since * self._vehicles + messages.vehicle) * 2 + messages.copy


def _join(first: Messages, second: Messages) -> Messages:
    return Messages(
        *(
            np.concatenate([getattr(first, f.name), getattr(second, f.name)])
            for f in fields(Messages)
        )
    )
