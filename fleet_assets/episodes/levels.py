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
    levels: Levels = (values >= clear_below).view(np.int8) + beyond.view(np.int8)
    levels[beyond] = SET  # also where somebody has put the limits the wrong way round
    levels[np.isnan(values)] = UNKNOWN
    return levels


def below(
    values: NDArray[np.float64], set_at: Limit, clear_above: Limit, *, inclusive: bool = False
) -> Levels:
    """Levels of a condition that sets below a limit and clears above another one."""
    return above(-values, -np.asarray(set_at), -np.asarray(clear_above), inclusive=inclusive)


def both(first: Levels, second: Levels) -> Levels:
    """Levels of two conditions that have to hold together.

    One that is clear decides, whatever the other is; otherwise one that is unknown does.
    """
    clear = (first == CLEAR) | (second == CLEAR)
    unknown = (first == UNKNOWN) | (second == UNKNOWN)
    joint = np.minimum(first, second)
    joint[unknown] = UNKNOWN
    joint[clear] = CLEAR
    return joint


def either(first: Levels, second: Levels) -> Levels:
    """Levels of two conditions of which one is enough.

    One that is set decides, whatever the other is; otherwise one that is unknown does.
    """
    joint = np.maximum(first, second)
    joint[(first == SET) | (second == SET)] = SET
    return joint
