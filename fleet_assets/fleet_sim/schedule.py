"""When which vehicle shows which fault: drawn once a cycle (the span, or an hour for ever)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from fleet_assets.errors import FleetError
from fleet_assets.fleet_sim.draws import Floats, Ints, Stream, uniform
from fleet_assets.fleet_sim.faults import FAULT_KINDS, FaultKind, longest, possible
from fleet_assets.fleet_sim.fleet import Fleet

ENDLESS_CYCLE_S = 3600.0
SLACK_S = 270.0
"""A vehicle may first have to finish a short leg or park before its fault leg begins."""


class FaultSchedule:
    """Due times (seconds from the start) and kinds of the faults, cycle by cycle.

    Args:
        fleet: the vehicles.
        amount: below 1, a share of the vehicles per cycle; else a number of faults in the span
            (without a span: per hour).
        kinds: the kinds to inject.
        span_s: length of the simulation in seconds; None: for ever.

    Raises:
        FleetError: the span is too short for any of the kinds.
    """

    def __init__(
        self, fleet: Fleet, amount: float, kinds: Sequence[FaultKind], span_s: float | None
    ) -> None:
        self._fleet = fleet
        self._kinds = [k for k in FAULT_KINDS if k in kinds]
        whole = ENDLESS_CYCLE_S if span_s is None else span_s
        count = round(amount * fleet.size) if amount < 1 else int(amount)
        if amount > 0:
            count = max(count, 1)
        rounds = max(1, math.ceil(count / fleet.size))
        self.cycle_s = whole / rounds
        self._per_cycle = [
            count // rounds + (1 if i < count % rounds else 0) for i in range(rounds)
        ]
        self._endless = span_s is None
        self.many_cycles = rounds > 1
        if count and not any(self._fitting(i) for i in range(min(fleet.size, 40))):
            raise FleetError(
                f"A span of {whole:.0f} s is too short for {count} faults of the kinds "
                f"{', '.join(self._kinds)} on {fleet.size} vehicles: lengthen --span "
                "or ask for fewer."
            )
        self.assign = lru_cache(maxsize=4)(self._assign)

    def _fitting(self, vehicle: int) -> list[FaultKind]:
        it = self._fleet.vehicles[vehicle]
        return [
            k for k in self._kinds
            if possible(k, it) and longest(k, it) + SLACK_S <= self.cycle_s
        ]  # fmt: skip

    def _assign(self, cycle: int) -> tuple[Floats, Ints]:
        """Due time (infinite: none) and kind (index in FAULT_KINDS) of every vehicle."""
        fleet, rounds = self._fleet, len(self._per_cycle)
        due = np.full(fleet.size, np.inf)
        kind = np.zeros(fleet.size, np.int64)
        if cycle >= rounds and not self._endless:
            return due, kind
        order = np.argsort(uniform(fleet.seed, Stream.FAULT_ORDER, fleet.index, cycle))
        u_time = uniform(fleet.seed, Stream.FAULT, fleet.index, 2 * cycle)
        u_kind = uniform(fleet.seed, Stream.FAULT, fleet.index, 2 * cycle + 1)
        wanted, turn = self._per_cycle[cycle % rounds], int(u_kind[0] * len(FAULT_KINDS))
        for vehicle in order.tolist():
            if wanted == 0:
                break
            fitting = self._fitting(vehicle)
            if not fitting:
                continue
            chosen = fitting[turn % len(fitting)]  # in turn, so that every kind gets its share
            turn, wanted = turn + 1, wanted - 1
            room = self.cycle_s - longest(chosen, fleet.vehicles[vehicle]) - SLACK_S
            due[vehicle] = cycle * self.cycle_s + u_time[vehicle] * room
            kind[vehicle] = FAULT_KINDS.index(chosen)
        return due, kind
