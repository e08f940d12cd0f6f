"""The rules as a page for people: what, why, threshold, source, action."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fleet_assets.rules.catalogue import VEHICLE_TYPES, Catalogue, Parameter, Rule
from fleet_assets.rules.confidence import expected_precision

REGENERATE: Final = "fleet rules docs --output docs/rules.md"
_UNITS: Final = {"duration": "s", "max_gap": "s", "window_s": "s"}


def rules_page(catalogue: Catalogue) -> str:
    """Markdown."""
    lines = [
        "# Rules",
        "",
        f"Release {catalogue.release}, for hours from"
        f" {catalogue.effective_from:%Y-%m-%d %H:%M} UTC on. Made from"
        f" `fleet_assets/rules/catalogue.yaml` by `{REGENERATE}`; do not edit by hand.",
        "",
        "A rule that is a tier of another one raises the severity of the same finding. Vehicles"
        " with `status` maintenance are exempt from all.",
        "",
        "| Rule | Type | Title | Limit | For | Severity | Stage |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(_line(catalogue, rule) for rule in catalogue.rules),
    ]
    for rule in catalogue.rules:
        lines += _section(catalogue, rule)
    return "\n".join([*lines, ""])


def in_words(catalogue: Catalogue, rule: Rule, name: str) -> str:
    """A parameter as one would say it, such as ``sedan 75, truck 65``."""
    return _value(catalogue, rule, rule.parameters[name])


def confidence_in_words(catalogue: Catalogue, rule: Rule) -> str:
    """What the confidence of its findings is made of."""
    margin = rule.confidence
    text = f"{margin.least:g} to {margin.most:g}, full at {margin.full_margin:.0%} past the limit"
    if margin.least == margin.most:
        text = f"{margin.least:g}"
    expected = _number(round(expected_precision(rule.precision, catalogue.unmeasured), 3))
    if rule.precision is None:
        text += f"; × {expected}, as its precision is not measured"
    else:
        measured = rule.precision
        text += (
            f"; × {expected} by its precision ({measured.share:.1%} of {measured.findings:,}"
            f" findings, {measured.origin})"
        )
    if rule.agreement is not None:
        agreement = rule.agreement
        below = " below the limit" if agreement.below_limit else ""
        text += (
            f"; × {agreement.without:g} without `{agreement.witness}`{below} at its first sample"
        )
    return text


def _line(catalogue: Catalogue, rule: Rule) -> str:
    limit = in_words(catalogue, rule, "set") if "set" in rule.parameters else ""
    tier = f" (tier of {rule.tier_of})" if rule.tier_of else ""
    duration = in_words(catalogue, rule, "duration")
    unit = f" {rule.unit}" if limit and rule.unit else ""
    return (
        f"| [{rule.id}](#{rule.id.lower()}) | {rule.type}{tier} | {rule.title} | {limit}{unit} |"
        f" {'' if duration == '0' else duration + ' s'} | {rule.severity} | {rule.stage} |"
    )


def _section(catalogue: Catalogue, rule: Rule) -> list[str]:
    numbers = [
        f"- {name.replace('_', ' ')}: {in_words(catalogue, rule, name)}" for name in rule.parameters
    ]
    needs = _listed(rule.needs, " and ")
    if rule.needs_any:
        needs += (" and one of " if needs else "one of ") + _listed(rule.needs_any, ", ")
    if needs and rule.least_rate_hz:
        needs += f", at {rule.least_rate_hz:g} Hz or more"
    facts = [
        ("Needs", needs),
        ("Exempt", "; ".join(exemption.reason for exemption in rule.exempt)),
        ("Confidence", confidence_in_words(catalogue, rule)),
        ("Says", rule.says),
        ("Action", rule.action),
        ("Source", rule.source),
    ]
    return [
        "",
        f"## {rule.id}",
        "",
        f"**{rule.title}** ({rule.type}, {rule.severity}, version {rule.version}). {rule.why}",
        "",
        *numbers,
        "",
        *(f"{name}: {text}  " for name, text in facts if text),
    ]


def _value(catalogue: Catalogue, rule: Rule, parameter: Parameter) -> str:
    if parameter.policy is not None:
        return {"usual": "3 usual intervals, 5 to 60", "none": "any silence"}[parameter.policy]
    if parameter.by_type is not None:
        given = {str(kind): value for kind, value in parameter.by_type.items()}
        text = ", ".join(
            f"{kind} {_number(_shifted(parameter, given[kind]))}"
            for kind in VEHICLE_TYPES
            if kind in given
        )
    elif parameter.of is not None:
        text = parameter.of
        text += f" × {_number(parameter.times)}" if parameter.times != 1 else ""
        if parameter.plus:
            text += f" {'+' if parameter.plus > 0 else '−'} {_number(abs(parameter.plus))}"
    else:
        text = _number(_shifted(parameter, parameter.value or 0.0))
    if parameter.scale is not None:
        text += f" × {parameter.scale.attribute} / {_number(parameter.scale.over)}"
    if parameter.at_most is not None:
        text += f"; at most {_number(parameter.at_most.times)} × {parameter.at_most.attribute}"
    return text


def _shifted(parameter: Parameter, value: float) -> float:
    return value * parameter.times + parameter.plus


def _number(value: float) -> str:
    return f"{value:,.10g}"


def _listed(names: Iterable[str], joint: str) -> str:
    return joint.join(f"`{name}`" for name in names)
