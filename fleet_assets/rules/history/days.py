"""Rules on local days: the share of idling (R17)."""

from __future__ import annotations

from typing import Final

import polars as pl

from fleet_assets.episodes.stitch import TIME
from fleet_assets.rules.catalogue import Rule
from fleet_assets.rules.findings import of_rule
from fleet_assets.rules.history.numbers import value

IDLE_DAY_SCHEMA: Final = pl.Schema(
    {
        "vehicle_id": pl.String(),
        "started_at": TIME,
        "ended_at": TIME,
        "idle_s": pl.Float64(),
        "running_s": pl.Float64(),
    }
)
"""A local day of a vehicle, from its first moment to the next day's, once it is over: seconds that
it stood with the engine on, and seconds that the engine was on."""


def idle_days(days: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """Days with too large a share of idling (R17): decided when the day is over.

    Args:
        days: rows of IDLE_DAY_SCHEMA of the vehicles that the rule applies to.
        rule: has `share` and `min_idle_s`.

    Returns:
        Rows of FINDING_SCHEMA; the peak is the share.
    """
    share = pl.col("idle_s") / pl.col("running_s")
    over = (share > value(rule, "share")) & (pl.col("idle_s") >= value(rule, "min_idle_s"))
    made = days.filter(over & (pl.col("running_s") > 0)).with_columns(
        condition=pl.lit(rule.id),
        detected_at=pl.col("ended_at"),
        is_open=pl.lit(False),
        samples=pl.lit(1),
        peak=share,
        peak_at=pl.col("ended_at"),
    )
    return of_rule(made, rule).sort("vehicle_id", "started_at")
