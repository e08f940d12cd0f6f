"""Which rules cannot judge a vehicle, and why."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Final

import numpy as np
import polars as pl

from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Samples

_UNHEARD: Final = "no trouble codes are told"


def ineligible(
    samples: Samples, limits: Limits, unheard: Mapping[str, Collection[str]] | None = None
) -> pl.DataFrame:
    """Rules that do not judge a vehicle, as it is at its first sample of the window.

    Args:
        samples: of one window; vehicles that have context only are left out.
        limits: tell the reasons.
        unheard: rule → vehicles that told nothing of what it looks at.

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
    for rule, silent in (unheard or {}).items():
        known = reasons[rule] if rule in reasons.columns else pl.Series([""] * ids.len())
        unheard_of = pl.when((known == "") & ids.is_in(list(silent))).then(pl.lit(_UNHEARD))
        reasons = reasons.with_columns(unheard_of.otherwise(known).alias(rule))
    if reasons.is_empty():
        return pl.DataFrame({"vehicle_id": ids}).with_columns(ineligible=pl.lit("{}"))
    texts = {
        row: json.dumps({rule: why for rule, why in zip(reasons.columns, row, strict=True) if why})
        for row in reasons.unique().iter_rows()
    }  # few: vehicles of a kind lack the same
    told = pl.Series("ineligible", [texts[row] for row in reasons.iter_rows()], dtype=pl.String)
    return pl.DataFrame({"vehicle_id": ids, "ineligible": told})
