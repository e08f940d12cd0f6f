"""Sends at a rate: flat out, so many messages a second, or in step with the clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Event

import numpy as np

from fleet_assets.fleet_sim.draws import Ints
from fleet_assets.fleet_sim.times import Rate, now_ms

MAX_SLICE = 20_000
"""Messages after which a stop is noticed, even flat out."""
TICK_S = 0.1
"""Messages of this time are sent together."""


class Pacer:
    """Cuts batches into slices and waits before each until it is due.

    Args:
        rate: how fast.
        stop: set from outside to end early.
        offset_ms: with ``1x``, wall clock minus delivery time of a message.
    """

    def __init__(self, rate: Rate, stop: Event, offset_ms: int = 0) -> None:
        self._rate, self._stop, self._offset_ms = rate, stop, offset_ms
        self._began, self._sent = time.monotonic(), 0

    def slices(self, delivery_ms: Ints) -> Iterator[slice]:
        """Slices of a batch whose delivery times are given in order, each when it is due."""
        at, size = 0, int(delivery_ms.size)
        while at < size and not self._stop.is_set():
            end = self._due(delivery_ms, at)
            if end > at:
                yield slice(at, end)
                self._sent += end - at
                at = end
            else:
                self._stop.wait(TICK_S)

    def _due(self, delivery_ms: Ints, at: int) -> int:
        """End of what may be sent now."""
        room = min(at + MAX_SLICE, int(delivery_ms.size))
        if self._rate == "max":
            return room
        if self._rate == "1x":
            clock = now_ms() - self._offset_ms
            return min(room, at + int(np.searchsorted(delivery_ms[at:room], clock, side="right")))
        allowed = int((time.monotonic() - self._began) * float(self._rate)) - self._sent
        return min(room, at + max(allowed, 0))
