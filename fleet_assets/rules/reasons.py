"""Why a rule does not judge a vehicle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.rules.catalogue import Catalogue, Rule
from fleet_assets.rules.samples import Samples

RATE_JITTER: Final = 1.1
"""A usual interval may be so many times what the least rate of a rule asks for."""
_Flags = NDArray[np.bool_]
_Values = Mapping[tuple[str, str], NDArray[np.float64]]


def reasons(
    catalogue: Catalogue,
    samples: Samples,
    stages: Mapping[str, str],
    values: _Values,
    regimes: pl.DataFrame,
) -> dict[str, NDArray[np.str_]]:
    """By rule and regime, the first reason that there is, "" where the rule applies.

    Rules that apply everywhere are missing.

    Args:
        catalogue: the rules.
        samples: tell which signals each vehicle has.
        stages: rule id → stage, where it is not the catalogue's.
        values: numbers of the rules by regime.
        regimes: `code` of the vehicle, its attributes and `interval_s`.
    """
    seen = _seen(catalogue, samples, {})
    beyond = _seen(catalogue, samples, samples.beyond) if samples.beyond else seen
    found = {
        rule.id: _of_rule(
            catalogue, rule, stages, values, regimes, beyond if rule.beyond_bounds else seen
        )
        for rule in catalogue.rules
    }
    return {rule_id: why for rule_id, why in found.items() if np.any(why != "")}


def _seen(
    catalogue: Catalogue, samples: Samples, beyond: Mapping[str, NDArray[np.float64]]
) -> dict[str, _Flags]:
    """By signal whether each vehicle has any value of it, a known one or one of `beyond`."""
    starts = np.flatnonzero(samples.is_first)

    named = {name for rule in catalogue.rules for name in (*rule.needs, *rule.needs_any)}
    return {
        name: _any_known(samples.signals.get(name), starts) | _any_known(beyond.get(name), starts)
        for name in named
    }


def _any_known(values: NDArray[np.float64] | None, starts: NDArray[np.int64]) -> _Flags:
    """By vehicle; most know a value from their first sample on."""
    if values is None:
        return np.zeros(len(starts), np.bool_)
    known = ~np.isnan(values[starts])
    if known.all():
        return known
    return np.logical_or.reduceat(~np.isnan(values), starts)


def _of_rule(
    catalogue: Catalogue,
    rule: Rule,
    stages: Mapping[str, str],
    values: _Values,
    regimes: pl.DataFrame,
    seen: Mapping[str, _Flags],
) -> NDArray[np.str_]:
    conditions: list[tuple[_Flags, str | NDArray[np.str_]]] = []
    if stages.get(rule.id, rule.stage) == "off":
        conditions.append((np.ones(regimes.height, np.bool_), "the rule is off"))
    for exemption in (*catalogue.exempt_always, *rule.exempt):
        meant = (regimes[exemption.attribute] == exemption.equals).fill_null(False).to_numpy()
        conditions.append((meant, exemption.reason))
    numbers = [values[rule.id, name] for name in rule.parameters]
    if rule.repeats:
        numbers += [values[rule.repeats, "set"]]
    lacking = np.logical_or.reduce([np.isnan(number) for number in numbers])
    conditions.append((lacking, "no limit for its vehicle type"))
    code = regimes["code"].to_numpy()
    conditions += [(~seen[name][code], f"{name} is not known") for name in rule.needs]
    if rule.needs_any:
        any_of = np.logical_or.reduce([seen[name] for name in rule.needs_any])
        conditions.append((~any_of[code], f"none of {', '.join(rule.needs_any)} is known"))
    conditions.append(_too_slow(rule, regimes["interval_s"].to_numpy()))
    return np.select(
        [held for held, _ in conditions], [np.asarray(why) for _, why in conditions], default=""
    ).astype(np.str_)


def _too_slow(rule: Rule, interval_s: NDArray[np.float64]) -> tuple[_Flags, str | NDArray[np.str_]]:
    """Vehicles that usually send too seldom for the rule, and this in words."""
    slow = interval_s * rule.least_rate_hz > RATE_JITTER
    if not slow.any():
        return slow, ""
    told = [
        f"sends every {usual:.3g} s, the rule needs {rule.least_rate_hz:g} Hz"
        for usual in interval_s
    ]
    return slow, np.asarray(told)
