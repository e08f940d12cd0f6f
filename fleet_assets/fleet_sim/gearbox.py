"""Engine speed from road speed: which gear a calm driver of each vehicle type is in."""

from __future__ import annotations

from typing import Final

import numpy as np

from fleet_assets.fleet_sim.draws import Floats, Ints
from fleet_assets.fleet_sim.fleet import Fleet
from fleet_assets.fleet_sim.vehicle_types import TYPE_ORDER, TYPES

_BINS: Final = 800
_BIN_MPS: Final = 0.1
_PULLING: Final = 1.2
"""Gears are held this much longer while accelerating."""


class Gearbox:
    """Looks up rpm for each m/s of road speed, by type, speed and whether the driver pulls."""

    def __init__(self, fleet: Fleet) -> None:
        self._first_bin: Ints = fleet.type * (2 * _BINS)
        speeds = (np.arange(_BINS) + 0.5) * _BIN_MPS
        tables = []
        for name in TYPE_ORDER:
            spec = TYPES[name]
            ratios = np.array(spec.rpm_per_mps)
            for held in (1.0, _PULLING):
                gear = (speeds[:, None] * ratios > spec.shift_rpm * held).sum(axis=1)
                tables.append(ratios[np.minimum(gear, len(ratios) - 1)])
        self._table: Floats = np.concatenate(tables)

    def rpm(
        self, vehicle: Ints, speed: Floats, fastest: Floats, change: Floats, pull: Floats,
        held_gear: Floats,
    ) -> Floats:  # fmt: skip
        """Engine rpm with the clutch closed.

        Args:
            vehicle: index of the vehicle.
            speed: m/s.
            fastest: highest speed of the piece in m/s: a cruise keeps one gear for its swings.
            change: change of speed over the piece in m/s.
            pull: acceleration in m/s².
            held_gear: rpm for each m/s of a gear that is held; 0: the gearbox chooses.
        """
        cruising = np.abs(change) < 3.0
        decisive = np.where(cruising, fastest, speed)
        bins = np.minimum((decisive / _BIN_MPS).astype(np.int64), _BINS - 1)
        bins += self._first_bin[vehicle]
        bins += np.where((pull > 0.3) & ~cruising, _BINS, 0)
        ratio = self._table[bins]
        if held_gear.any():
            ratio = np.where(held_gear > 0, held_gear, ratio)
        return np.asarray(ratio * speed)
