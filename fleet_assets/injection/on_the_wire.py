"""Values as a device would send them: in its steps, within the bounds of the encoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from fleet_assets.contracts.signals import SIGNAL_BY_NAME
from fleet_assets.injection.stretches import Values

_FITTING: Final = 0.99
"""Share of values that have to lie on a step's grid."""
_LEAST_KINDS: Final = 3
"""Fewer different values say nothing of a step."""


def step_of(values: Values, signal: str, candidates: Sequence[float]) -> float:
    """The step in which a vehicle's values move.

    Args:
        values: known and unknown (NaN) values.
        signal: its name.
        candidates: steps of encodings, the coarsest first.

    Returns:
        The first that fits the values as they are rounded by the contract, else that of the
        contract.
    """
    finest = 10.0 ** -SIGNAL_BY_NAME[signal].scale
    known = np.unique(values[~np.isnan(values)])
    if len(known) < _LEAST_KINDS:
        return finest
    for step in candidates:
        off = np.abs(known - np.round(known / step) * step)
        if np.mean(off <= finest * 0.501) >= _FITTING:
            return step
    return finest


def on_the_wire(values: Values, signal: str, step: float) -> Values:
    """Values in steps, clipped to the signal's bounds, rounded as the contract stores them."""
    contract = SIGNAL_BY_NAME[signal]
    clipped = np.clip(np.round(values / step) * step, contract.minimum, contract.maximum)
    return np.asarray(np.round(clipped, contract.scale))


def share_out_of_bounds(values: Values, signal: str) -> float:
    """Share of the known values that a device could not send."""
    contract = SIGNAL_BY_NAME[signal]
    known = values[~np.isnan(values)]
    if not len(known):
        return 0.0
    return float(np.mean((known < contract.minimum) | (known > contract.maximum)))
