"""Two opinions on a vehicle that no training has seen: the fleet's classifier and its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.models.device_forests import DeviceForests
from fleet_assets.models.odds import Trust, odds_by_aspect

if TYPE_CHECKING:
    from fleet_assets.models.detector import Detector

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
NEAR: Final = 0.7
"""Odds (log10) by which a window may miss the threshold and matter all the same. Its score is above
0.49 then: from 0.5 on a window is named, from 0.7 on it holds an alarm."""


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


def settled_odds(
    detector: Detector, settling: Settling, evidence: pl.DataFrame, shares: Values
) -> tuple[Values, list[str]]:
    """`mixed_odds`, where the vehicle's own forests are asked only what may matter.

    Most windows are so clearly healthy to the fleet's classifier that whatever the vehicle's said,
    they came nowhere near the threshold. For these its forests are not asked, device by device.

    Args:
        detector: of the fleet.
        settling: of the vehicle.
        evidence: of windows.
        shares: votes of the detector's classifier for them.
    """
    wanted = asked(detector, settling, shares)
    own_shares = settling.classifier.shares(evidence, wanted)
    return mixed_odds(detector, settling, shares, own_shares)


def asked(detector: Detector, settling: Settling, shares: Values) -> dict[str, Flags]:
    """For which windows the vehicle's forests have to be asked, by device.

    Args:
        detector: of the fleet.
        settling: of the vehicle.
        shares: votes of the detector's classifier.
    """
    found, names = odds_by_aspect(detector.classifier, detector.trusts, shares)
    classes, aspects = settling.classifier.classes, settling.classifier.aspects()
    wanted = {name.split("/")[0]: np.zeros(len(shares), np.bool_) for name in classes}
    for number, name in enumerate(names):
        if name not in aspects:
            continue
        most = _most(detector, settling, name, found[:, number])
        near = most - settling.offsets.get(name, 0.0) >= settling.threshold - NEAR
        for device in {classes[each].split("/")[0] for each in aspects[name]}:
            wanted[device] |= near
    return wanted


def mixed_odds(
    detector: Detector, settling: Settling, shares: Values, own_shares: Values
) -> tuple[Values, list[str]]:
    """Odds of windows by aspect of the detector, and these: the mean of both classifiers.

    Where what votes of the fleet's are worth is not known, the vehicle's count alone.

    Args:
        detector: of the fleet.
        settling: of the vehicle.
        shares: votes of the detector's classifier.
        own_shares: votes of the vehicle's; NaN where it was not asked: then odds are no more than
            what it could have said at most.
    """
    found, names = odds_by_aspect(detector.classifier, detector.trusts, shares)
    own, known = odds_by_aspect(settling.classifier, settling.trusts, own_shares)
    for number, name in enumerate(names):
        if name in known:
            mine, fleet = own[:, known.index(name)], found[:, number]
            both = (fleet + mine) / 2 if detector.trusts[name].tells else mine
            least = np.minimum(fleet, _most(detector, settling, name, fleet))
            found[:, number] = np.where(np.isnan(mine), least, both)
    return found, names


def _most(detector: Detector, settling: Settling, name: str, fleet: Values) -> Values:
    """Odds of an aspect if all of the vehicle's trees voted for it."""
    aspect, classes = settling.classifier.aspects()[name], settling.classifier.classes
    devices = {classes[each].split("/")[0] for each in aspect}
    own = settling.trusts[name].odds(np.array([float(len(devices))]))
    return (fleet + own) / 2 if detector.trusts[name].tells else np.broadcast_to(own, fleet.shape)
