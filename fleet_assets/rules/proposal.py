"""Proposed numbers and stages, as text, put into a catalogue and what it depends on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, get_args

import polars as pl

from fleet_assets.errors import FleetError
from fleet_assets.rules.catalogue import Catalogue, Parameter, Rule, Stage
from fleet_assets.rules.resolve import InForce

_FORM: Final = re.compile(
    r"(?P<rule>R\d{2})\.(?P<parameter>[a-z_]+)=(?P<value>-?\d+(?:\.\d*)?|-?\.\d+|[a-z]+)"
    r"(?:@(?P<scope>fleet|model|vehicle):(?P<of>.+))?"
)


def with_proposed(
    catalogue: Catalogue, known: InForce, texts: Iterable[str]
) -> tuple[Catalogue, InForce]:
    """The catalogue and what is known, with what is proposed.

    Args:
        catalogue: the rules.
        known: what their numbers depend on besides.
        texts: R18.set=70 or R18.stage=shadow, for all; R18.set=60@fleet:north, for some.

    Raises:
        FleetError: one of them cannot be read, or names what no rule has.
    """
    for text in texts:
        given = _FORM.fullmatch(text)
        if given is None:
            raise FleetError(
                f"{text!r} is not RULE.PARAMETER=VALUE, such as R18.set=70, or RULE.stage=STAGE."
            )
        rule = catalogue.rule(given["rule"])
        if given["parameter"] == "stage":
            if given["scope"] is not None:
                raise FleetError(f"{text!r}: a stage is the same for all vehicles; leave out @….")
            catalogue = with_stages(catalogue, {rule.id: _stage(given["value"])})
            continue
        value = _number(rule, text, given["parameter"], given["value"])
        if given["scope"] is None:
            other = {given["parameter"]: Parameter(value=value)}
            catalogue = _with_rule(catalogue, rule, parameters=rule.parameters | other)
        else:
            refusal = rule.refuses_override(given["parameter"], value)
            if refusal is not None:
                raise FleetError(refusal)
            known = _with_override(
                known, (rule.id, given["parameter"], given["scope"], given["of"]), value
            )
    return catalogue, known


def with_stages(catalogue: Catalogue, stages: Mapping[str, str]) -> Catalogue:
    """The catalogue with other stages; of rules that it does not have nothing is said."""
    for rule_id, stage in stages.items():
        rule = catalogue.by_id.get(rule_id)
        if rule is not None and rule.stage != stage:
            catalogue = _with_rule(catalogue, rule, stage=stage)
    return catalogue


def _with_rule(catalogue: Catalogue, rule: Rule, **changes: object) -> Catalogue:
    other = rule.model_copy(update=changes)
    rules = tuple(other if r.id == rule.id else r for r in catalogue.rules)
    return Catalogue.model_validate(catalogue.model_copy(update={"rules": rules}).model_dump())


def _with_override(known: InForce, key: tuple[str, str, str, str], value: float) -> InForce:
    """It takes the place of those that are in force for the same fleet, model or vehicle."""
    names = ("rule_id", "parameter", "scope", "scope_value")
    row = dict(zip(names, ([part] for part in key), strict=True))
    begin = pl.datetime(1970, 1, 1, time_unit="us", time_zone="UTC")
    more = pl.DataFrame(
        row | {"valid_from": [None], "value": [value]}, schema=known.overrides.schema
    ).with_columns(valid_from=begin)
    others = known.overrides.join(more, on=names, how="anti")
    return replace(known, overrides=pl.concat([others, more]))


def _stage(text: str) -> str:
    if text not in get_args(Stage):
        raise FleetError(f"{text!r} is no stage of a rule; there are {', '.join(get_args(Stage))}.")
    return text


def _number(rule: Rule, text: str, parameter: str, value: str) -> float:
    if parameter not in rule.parameters:
        raise FleetError(
            f"{rule.id} has no parameter {parameter}; it has {', '.join(rule.parameters)}."
        )
    if value.isalpha():
        raise FleetError(f"{text!r}: {value} is no number.")
    return float(value)
