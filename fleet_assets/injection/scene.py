"""A fault that is to be carried out, and the rows that it falls on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fleet_assets.injection.signals import signals_of
from fleet_assets.injection.stretches import Values, metres_between


@dataclass(frozen=True)
class Fault:
    """A fault to be carried out.

    Attributes:
        fault_id: all that is random in it hangs on its id.
        subject: its signals, see `signals_of`.
        amount: the magnitude in the unit of the signal; seconds or shares where it is one of these.
        is_up: readings get too large.
    """

    fault_id: str
    kind: str
    subject: str
    amount: float
    is_up: bool

    @property
    def signed(self) -> float:
        """The amount with its direction."""
        return self.amount if self.is_up else -self.amount


@dataclass(frozen=True)
class Scene:
    """Rows of one vehicle around a fault.

    Attributes:
        time_s: seconds since the fault began, increasing; negative in the margin before it.
        signals: numbers by name, NaN where unknown.
        first: index of the fault's first row; all from there on are the fault's.
    """

    time_s: Values
    signals: Mapping[str, Values]
    first: int

    def within(self, name: str) -> Values:
        """A signal's values within the fault."""
        return self.signals[name][self.first :]

    @property
    def seconds(self) -> Values:
        """Seconds since the fault began, of its rows."""
        return self.time_s[self.first :]

    @property
    def progress(self) -> Values:
        """From 0 at the first to 1 at the last row of the fault."""
        return self.seconds / max(float(self.seconds[-1]), 1e-9)


def change_in(subject: str, scene: Scene) -> float:
    """By how much a subject's healthy values change within the fault; metres for positions."""
    values = [scene.within(name) for name in signals_of(subject)]
    values = [one[~np.isnan(one)] for one in values]
    if min(len(one) for one in values) == 0:
        return 0.0
    if subject == "gps":
        lat, lon = values
        corner = (lat.min(), lon.min(), lat.max(), lon.max())
        return float(np.hypot(*metres_between(*map(np.asarray, corner))))
    return float(max(np.ptp(one) for one in values))
