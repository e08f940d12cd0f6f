"""Numbers of robust statistics."""

from __future__ import annotations

from typing import Final

MAD_TO_SIGMA: Final = 1.4826
"""From the median of absolute deviations to the standard deviation of a normal distribution."""
