"""Which anomalies say that something is wrong with a vehicle, so that it was not healthy then."""

from __future__ import annotations

from typing import Final

import polars as pl

GRAVE: Final = ("high", "critical")
OF_DRIVING: Final = (
    "harsh_acceleration", "harsh_braking", "harsh_cornering", "over_speeding", "prolonged_idling",
)  # fmt: skip
"""Types about how a vehicle is driven: a sound vehicle that is driven hard is healthy."""
IS_INCIDENT: Final = pl.col("severity").is_in(GRAVE) & ~pl.col("anomaly_type").is_in(OF_DRIVING)
"""Of rows of `rule_anomalies`."""
