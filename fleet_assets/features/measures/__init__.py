"""How features are computed: one function for each measure that the catalogue names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fleet_assets.features.measures import agreement, harsh, levels, shares
from fleet_assets.features.measures.levels import Measure

MEASURES: Final[Mapping[str, Measure]] = {
    measure.__name__: measure
    for measure in (
        levels.mean, levels.std, levels.slope, levels.highest, levels.lowest, levels.jump,
        shares.idle_share, shares.moving_share, shares.rpm_repeat_share,
        shares.speed_repeat_share, shares.gps_repeat_share, shares.silent_share,
        shares.rpm_missing_share, shares.null_share,
        harsh.harsh_braking, harsh.harsh_acceleration, harsh.harsh_cornering,
        agreement.gps_speed_gap, agreement.gps_distance_ratio, agreement.accel_speed_gap,
        agreement.rpm_per_mph, agreement.rpm_per_mph_change, agreement.throttle_load_corr,
    )
}  # fmt: skip
"""By name."""
