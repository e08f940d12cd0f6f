"""Numbers of rules that look at days and trips: the catalogue's, the same for all vehicles."""

from __future__ import annotations

from fleet_assets.rules.catalogue import Rule


def value(rule: Rule, name: str) -> float:
    """A parameter that is a plain number."""
    found = rule.parameters[name].value
    assert found is not None, f"{rule.id}.{name} is a plain number"
    return found
