"""The numbers of the rules, as they are in force for each sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleet_assets.episodes.levels import Limit


@dataclass(frozen=True)
class Limits:
    """Thresholds and other parameters by rule, for vehicles and times.

    A regime is a vehicle at times during which nothing about it changes: usually it has one.

    Attributes:
        regime: number of the regime of each sample.
        values: (rule id, parameter) → value by regime; NaN: the rule does not apply there.
        ineligible: rule id → reason by regime, "" where it applies; rules that apply everywhere
            are missing.
    """

    regime: NDArray[np.int32]
    values: Mapping[tuple[str, str], NDArray[np.float64]]
    ineligible: Mapping[str, NDArray[np.str_]]

    def of(self, rule_id: str, parameter: str) -> Limit:
        """One number if it is the same for all, else one for each sample.

        Raises:
            KeyError: the rule has no such parameter.
        """
        by_regime = self.values[rule_id, parameter]
        lowest = float(by_regime.min(initial=np.inf))
        if lowest == by_regime.max(initial=-np.inf):
            return lowest
        return np.take(by_regime, self.regime)

    def key(self, rule_id: str, parameter: str) -> bytes:
        """Equal for parameters with the same numbers everywhere."""
        return self.values[rule_id, parameter].tobytes()

    def at(self, rows: NDArray[np.int64]) -> Limits:
        """The limits of some of the samples."""
        return Limits(self.regime[rows], self.values, self.ineligible)

    def applies(self, rule_id: str) -> NDArray[np.bool_] | None:
        """For each sample whether the rule is to judge it; None: it judges all."""
        where = self._applies(rule_id)
        return None if where is None or where.all() else np.take(where, self.regime)

    def key_of_eligible(self, rule_id: str) -> bytes:
        """Equal for rules that judge the same samples."""
        where = self._applies(rule_id)
        return b"" if where is None or where.all() else where.tobytes()

    def _applies(self, rule_id: str) -> NDArray[np.bool_] | None:
        reasons = self.ineligible.get(rule_id)
        return None if reasons is None else np.asarray(reasons == "")
