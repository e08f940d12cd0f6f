"""`fleet rules`: what it prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet_assets.commands.rules import rules as app
from fleet_assets.errors import FleetError
from fleet_assets.rules.catalogue import CATALOGUE


def said(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_list_shows_all_rules_or_those_of_a_type() -> None:
    listed = json.loads(said("list", "--json"))
    assert len(listed) == 42
    assert listed[17]["parameters"]["set"]["by_type"]["truck"] == 65
    assert "R18" in said("list", "--type", "over_speeding")
    assert "R01" not in said("list", "--type", "over_speeding")


def test_a_rule_is_shown_with_all_that_it_means() -> None:
    text = said("show", "r15")
    for part in ("Prolonged idling", "truck 1,800", "cools its load", "Geotab"):
        assert part in text


def test_lint_tells_that_all_is_well_or_what_is_not(tmp_path: Path) -> None:
    assert "42 rules, no mistakes" in said("lint")
    wrong = tmp_path / "proposed.yaml"
    wrong.write_text(CATALOGUE.read_text().replace("severity: critical", "severity: dire", 1))
    with pytest.raises(FleetError, match=r"R02\.severity"):
        said("lint", str(wrong))


@pytest.mark.parametrize(
    ("words", "cause"),
    [(["show", "R77"], "no rule R77"), (["list", "--type", "speeding"], "no type of anomaly")],
)
def test_what_is_not_there_is_said(words: list[str], cause: str) -> None:
    with pytest.raises(FleetError, match=cause):
        said(*words)
