"""Which rules cannot judge a vehicle, and why."""

from __future__ import annotations

import json

import numpy as np
import polars as pl

from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Samples


def ineligible(samples: Samples, limits: Limits) -> pl.DataFrame:
    """Rules that do not judge a vehicle, as it is at its first sample of the window.

    Args:
        samples: of one window; vehicles that have context only are left out.
        limits: tell the reasons.

    Returns:
        `vehicle_id`, and `ineligible`: a JSON object, rule → reason.
    """
    own = np.flatnonzero(~samples.is_context)
    codes, firsts = np.unique(samples.vehicle[own], return_index=True)
    regime = limits.regime[own[firsts]]
    reasons = pl.DataFrame(
        {
            rule: pl.Series(by_regime[regime])
            for rule, by_regime in sorted(limits.ineligible.items())
        }
    )
    ids = samples.vehicle_ids.gather(codes).alias("vehicle_id")
    if reasons.is_empty():
        return pl.DataFrame({"vehicle_id": ids}).with_columns(ineligible=pl.lit("{}"))
    texts = {
        row: json.dumps({rule: why for rule, why in zip(reasons.columns, row, strict=True) if why})
        for row in reasons.unique().iter_rows()
    }  # few: vehicles of a kind lack the same
    told = pl.Series("ineligible", [texts[row] for row in reasons.iter_rows()], dtype=pl.String)
    return pl.DataFrame({"vehicle_id": ids, "ineligible": told})
