"""Two opinions on a vehicle that no training has seen: the fleet's classifier and its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleet_assets.models.device_forests import DeviceForests
from fleet_assets.models.odds import Trust, odds_by_aspect

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Settling:
    """How a vehicle is judged that no training has seen, see `settling`.

    Attributes:
        classifier: of the vehicle itself: faults of the fleet against its healthy days.
        trusts: what its votes are worth, by aspect.
        threshold: odds (log10) from which on windows speak for an alarm.
        offsets: by aspect, what is taken from the odds.
    """

    classifier: DeviceForests
    trusts: Mapping[str, Trust]
    threshold: float
    offsets: Mapping[str, float]


@dataclass(frozen=True)
class Fleet:
    """What the fleet's classifier says of windows.

    Attributes:
        odds: log10, a column for each aspect.
        names: of the aspects.
        trusts: what its votes are worth, by aspect.
    """

    odds: Values
    names: Sequence[str]
    trusts: Mapping[str, Trust]


def mixed_odds(fleet: Fleet, settling: Settling, own_shares: Values) -> Values:
    """Odds by the fleet's aspects: the mean of both classifiers.

    Where what votes of the fleet's are worth is not known, the vehicle's count alone.

    Args:
        fleet: about these windows.
        settling: of the vehicle.
        own_shares: votes of the vehicle's.
    """
    own, known = odds_by_aspect(settling.classifier, settling.trusts, own_shares)
    found = fleet.odds.copy()
    for number, name in enumerate(fleet.names):
        if name in known:
            mine = own[:, known.index(name)]
            tells = fleet.trusts[name].tells
            found[:, number] = (found[:, number] + mine) / 2 if tells else mine
    return found
