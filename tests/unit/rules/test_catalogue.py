"""The catalogue: all rules are there, mistakes are named, its page is current."""

# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet_assets.errors import FleetError
from fleet_assets.rules.catalogue import (
    ANOMALY_TYPES,
    CATALOGUE,
    Catalogue,
    in_force,
    read_catalogue,
)
from fleet_assets.rules.document import REGENERATE, in_words, rules_page

Change = Callable[[dict[str, Any]], object]


def test_all_42_rules_of_12_types_are_there() -> None:
    found = read_catalogue()
    assert [rule.id for rule in found.rules] == [f"R{n:02}" for n in range(1, 43)]
    assert {rule.type for rule in found.rules} == set(ANOMALY_TYPES)


def test_the_page_is_current() -> None:
    page = Path(__file__).parents[3] / "docs" / "rules.md"
    assert page.read_text(encoding="utf-8") == rules_page(read_catalogue()), REGENERATE


@pytest.mark.parametrize(
    ("rule_id", "name", "expected"),
    [
        (
            "R01",
            "set",
            "sedan 5,800, suv 6,000, van 6,000, truck 6,500; at most 0.95 × redline_rpm",
        ),
        ("R02", "set", "R01.set × 1.08"),
        ("R18", "clear", "set − 2"),
        ("R38", "set", "13 × nominal_voltage / 12"),
        ("R26", "max_gap", "any silence"),
    ],
)
def test_numbers_in_words(rule_id: str, name: str, expected: str) -> None:
    found = read_catalogue()
    assert in_words(found, found.rule(rule_id), name) == expected


def rule(given: dict[str, Any], rule_id: str) -> dict[str, Any]:
    return next(r for r in given["rules"] if r["id"] == rule_id)


MISTAKES: list[tuple[Change, str]] = [
    (lambda c: rule(c, "R01").update(severity="huge"), "R01.severity"),
    (lambda c: rule(c, "R01").update(colour="red"), "R01.colour"),
    (lambda c: rule(c, "R01").pop("action"), "R01.action"),
    (lambda c: rule(c, "R02").update(tier_of="R99"), "there is no rule R99"),
    (lambda c: rule(c, "R02").update(tier_of="R18"), "R18 is of another type"),
    (lambda c: rule(c, "R06").update(tier_of="R07"), "R07 is a tier itself"),
    (lambda c: rule(c, "R18").update(needs=["sped"]), "sped is no signal"),
    (lambda c: rule(c, "R18").update(says="{speed} mph"), "may name {peak}"),
    (lambda c: rule(c, "R18")["parameters"].pop("duration"), "lacks the parameter duration"),
    (lambda c: rule(c, "R19")["parameters"].update(set={"of": "R18.sett"}), "no parameter R18.sett"),
    (lambda c: rule(c, "R18")["parameters"].update(set={"of": "R19.set"}), "depend on each other"),
    (lambda c: rule(c, "R18")["parameters"].update(set={"by_type": {"bus": 70}}), "R18.parameters"),
    (lambda c: rule(c, "R18")["parameters"].update(set={"value": 1, "of": "clear"}), "give a number"),
    (lambda c: rule(c, "R01").pop("precision"), "R01.precision"),
    (lambda c: rule(c, "R01").pop("agreement"), "R01.agreement"),
    (lambda c: rule(c, "R01").update(precision=0.9), "R01.precision"),
    (lambda c: rule(c, "R01").update(precision={"share": 1.1, "findings": 5, "origin": "x"}), "R01.precision.share"),
    (lambda c: rule(c, "R01").update(precision={"share": 1, "findings": 5, "origin": ""}), "R01.precision.origin"),
    (lambda c: rule(c, "R01")["confidence"].update(least=0.99), "least (0.99) is more than most"),
    (lambda c: rule(c, "R05")["agreement"].update(witness="acel"), "acel is no signal"),
    (lambda c: rule(c, "R05")["agreement"].update(without=1.2), "R05.agreement.without"),
    (lambda c: c.pop("unmeasured"), "unmeasured"),
    (lambda c: c["rules"].append(dict(rule(c, "R01"))), "R01 is there twice"),
    (lambda c: c.update(effective_from="soon"), "effective_from"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "told"), MISTAKES, ids=[told for _, told in MISTAKES])
def test_a_mistake_is_named_with_its_place(tmp_path: Path, change: Change, told: str) -> None:
    given = yaml.safe_load(CATALOGUE.read_text())
    change(given)
    path = tmp_path / "proposed.yaml"
    path.write_text(yaml.safe_dump(given))
    with pytest.raises(FleetError, match=r"proposed\.yaml") as error:
        read_catalogue(path)
    assert told in str(error.value)


@pytest.mark.parametrize("text", ["rules: [", "just text", ""])
def test_what_is_no_catalogue_is_refused_in_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(FleetError, match=r"broken\.yaml"):
        read_catalogue(path)


def test_an_hour_is_judged_by_the_release_that_was_in_force() -> None:
    first = read_catalogue()
    second = first.model_copy(
        update={"release": 2, "effective_from": datetime(2026, 3, 1, tzinfo=UTC)}
    )
    releases: list[Catalogue] = [second, first]
    for day, release in ((28, 1), (1, 2), (2, 2)):
        moment = datetime(2026, 2 if day == 28 else 3, day, tzinfo=UTC)
        assert in_force(releases, moment).release == release
    assert in_force(releases, datetime(1999, 1, 1, tzinfo=UTC)).release == 1
