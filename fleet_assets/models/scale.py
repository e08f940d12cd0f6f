"""Numbers on the scale of what is usual, so that they mean the same on every vehicle.

Tails differ: what is rare on one vehicle happens each hour on another. So beyond the usual range a
number is compared with how far the rare ones go.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
_LEAST_TAIL: Final = 0.5
"""A tail counts as at least so long, as a share of the usual range on its side."""


def placed(
    given: Values,
    lowest: Values | float,
    low: Values | float,
    usual: Values | float,
    high: Values | float,
    highest: Values | float,
    *,
    tails: bool = True,
) -> Values:
    """Where numbers lie: 0 at `usual`, 1 at `high`, 2 at `highest`, evenly in between and beyond.

    Below `usual` the same with −1 at `low` and −2 at `lowest`. The marks broadcast to the numbers;
    `low` and `high` lie apart from `usual`. Without `tails` it goes on beyond `low` and `high` as
    before them.
    """
    is_below = given < usual
    away = np.abs(given - usual)
    width = np.where(is_below, usual - low, high - usual)
    tail = np.where(is_below, low - lowest, highest - high)
    tail = np.maximum(tail, _LEAST_TAIL * width) if tails else width
    far = np.where(away <= width, away / width, 1 + (away - width) / tail)
    return np.asarray(np.where(is_below, -far, far))
