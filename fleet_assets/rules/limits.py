"""The numbers of the rules, as they are in force for each sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fleet_assets.episodes.levels import Limit


@dataclass(frozen=True)
class Limits:
    """Thresholds and other parameters by rule, for vehicles and times.

    A regime is a vehicle at times during which nothing about it changes: usually it has one.

    Attributes:
        regime: number of the regime of each sample, not decreasing.
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
        by_regime = self.values[rule_id, parameter][self._present]
        lowest = float(by_regime.min(initial=np.inf))
        if lowest == by_regime.max(initial=-np.inf):
            return lowest
        return np.repeat(by_regime, self._lengths)

    def key(self, rule_id: str, parameter: str) -> bytes:
        """Equal for parameters with the same numbers for all samples."""
        return self.values[rule_id, parameter][self._present].tobytes()

    def at(self, rows: NDArray[np.int64] | slice) -> Limits:
        """The limits of some of the samples, in order."""
        return Limits(self.regime[rows], self.values, self.ineligible)

    def applies(self, rule_id: str) -> NDArray[np.bool_] | None:
        """For each sample whether the rule is to judge it; None: it judges all."""
        where = self._applies(rule_id)
        return None if where is None else np.repeat(where, self._lengths)

    def key_of_eligible(self, rule_id: str) -> bytes:
        """Equal for rules that judge the same samples."""
        where = self._applies(rule_id)
        return b"" if where is None else where.tobytes()

    def _applies(self, rule_id: str) -> NDArray[np.bool_] | None:
        """By regime that there are samples of; None: to all."""
        reasons = self.ineligible.get(rule_id)
        if reasons is None:
            return None
        where = np.asarray(reasons[self._present] == "")
        return None if where.all() else where

    @cached_property
    def _present(self) -> slice:
        """Regimes from that of the first sample to that of the last."""
        return slice(self.regime[0], self.regime[-1] + 1) if len(self.regime) else slice(0)

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        """Number of samples of each of these regimes."""
        present = range(self._present.start or 0, self._present.stop)
        edges = np.searchsorted(self.regime, [*present, self._present.stop])
        return np.diff(edges)
