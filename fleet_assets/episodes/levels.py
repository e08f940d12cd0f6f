"""What a sample says about a condition."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

CLEAR: Final = 0
"""The condition does not hold: an episode ends before this sample."""
HOLD: Final = 1
"""Between the set and the clear threshold: whatever was goes on."""
SET: Final = 2
"""The condition holds: an episode begins here or goes on."""
UNKNOWN: Final = 3
"""Nothing is said: the signal is absent, null, out of bounds or in conflict."""

Levels = NDArray[np.int8]
Limit = float | NDArray[np.float64]
"""One for all samples, or one for each."""


def above(
    values: NDArray[np.float64], set_at: Limit, clear_below: Limit, *, inclusive: bool = False
) -> Levels:
    """Levels of a condition that sets above a limit and clears below another one.

    Args:
        values: the signal; NaN where it is unknown.
        set_at: set where the value is greater.
        clear_below: clear where the value is less, at most `set_at`.
        inclusive: set also where the value is equal to `set_at`.
    """
    beyond = (values >= set_at) if inclusive else (values > set_at)
    return _levels(values, beyond, values >= clear_below)


def below(
    values: NDArray[np.float64], set_at: Limit, clear_above: Limit, *, inclusive: bool = False
) -> Levels:
    """Levels of a condition that sets below a limit and clears above another one."""
    beyond = (values <= set_at) if inclusive else (values < set_at)
    return _levels(values, beyond, values <= clear_above)


def _levels(
    values: NDArray[np.float64], beyond: NDArray[np.bool_], near: NDArray[np.bool_]
) -> Levels:
    # also where somebody has put the limits the wrong way round beyond is set
    levels: Levels = (near | beyond).view(np.int8) + beyond.view(np.int8)
    levels |= np.isnan(values).view(np.int8) * np.int8(UNKNOWN)
    return levels


def both(first: Levels, second: Levels) -> Levels:
    """Levels of two conditions that have to hold together.

    One that is clear decides, whatever the other is; otherwise one that is unknown does.
    """
    known: Levels = np.minimum(first, second)
    unknown = np.maximum(first, second) == UNKNOWN
    known |= ((known != CLEAR) & unknown).view(np.int8) * np.int8(UNKNOWN)
    return known


def either(first: Levels, second: Levels) -> Levels:
    """Levels of a condition that is told in two ways: the higher one, where both are known.

    Where one is unknown the other decides.
    """
    joint = np.maximum(first, second)
    return np.where(joint == UNKNOWN, np.minimum(first, second), joint)
