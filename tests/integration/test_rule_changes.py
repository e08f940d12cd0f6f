"""Numbers of rules in the warehouse: set, as of event time, rolled back, with who and why."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from installation import Installation
from typer.testing import CliRunner
from warehouse_data import fresh_warehouse, query

from fleet_assets.commands.rules import rules as app
from fleet_assets.errors import FleetError
from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.warehouse.rule_changes import (
    Override,
    changes,
    overrides_in_force,
    roll_back,
    set_override,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
BEGIN, LATER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def url(services: Installation, request: pytest.FixtureRequest) -> str:
    return fresh_warehouse(services, re.sub(r"\W+", "_", request.node.name[:60].lower()))


def put(url: str, value: float, valid_from: datetime = BEGIN, **other: Any) -> int:
    plain: dict[str, Any] = {
        "rule_id": "R18", "parameter": "set", "scope": "fleet", "scope_value": "north",
    }  # fmt: skip
    wanted = Override(**plain | other, valid_from=valid_from, value=value)
    return set_override(url, read_catalogue(), wanted, "because", "me@here").change_id


def values(url: str) -> list[tuple[str, float]]:
    rows = overrides_in_force(url).select("scope_value", "value").rows()
    return [(str(of), float(value)) for of, value in rows]


def test_the_newest_change_of_a_number_is_in_force_and_others_stand_beside_it(url: str) -> None:
    put(url, 70)
    put(url, 68)
    put(url, 60, LATER)
    put(url, 55, scope_value="south")
    assert values(url) == [("north", 68), ("north", 60), ("south", 55)]
    newest = changes(url)[0]
    assert (newest.made_by, newest.why, newest.old_value) == ("me@here", "because", None)
    assert [c.old_value for c in changes(url, "R18")] == [None, None, 70, None]
    assert changes(url, "R01") == []


def test_rolling_back_brings_the_number_before_it_back_and_is_a_change_too(url: str) -> None:
    first = put(url, 70)
    second = put(url, 68)
    with pytest.raises(FleetError, match=f"Change {second} has changed the same number since"):
        roll_back(url, first, "no", "me")
    undone = roll_back(url, second, "wrong", "you@there")
    assert values(url) == [("north", 70)]
    assert (undone.rolls_back, undone.old_value, undone.new_value) == (second, 68, 70)
    again = roll_back(url, undone.change_id, "right after all", "me")
    assert values(url) == [("north", 68)]
    roll_back(url, again.change_id, "no", "me")
    third = put(url, 71, scope_value="west")
    roll_back(url, third, "no", "me")
    assert values(url) == [("north", 70)]
    assert query(url, "select count(*) from warehouse.rule_changes") == [(7,)]


@pytest.mark.parametrize(
    ("other", "cause"),
    [
        ({"rule_id": "R77"}, "no rule R77"),
        ({"parameter": "limit"}, "no parameter limit"),
        ({"value": float("nan")}, "no number"),
        ({"value": float("inf")}, "no number"),
    ],
)
def test_what_no_rule_has_is_refused(url: str, other: dict[str, Any], cause: str) -> None:
    with pytest.raises(FleetError, match=cause):
        put(url, other.pop("value", 1.0), **other)
    assert changes(url) == []


def test_the_same_number_again_is_no_change(url: str) -> None:
    put(url, 70)
    with pytest.raises(FleetError, match="is 70 there already"):
        put(url, 70)


def test_the_commands(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_POSTGRES_URL", url)

    def said(*words: str) -> str:
        result = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    asked = ["set", "R15.duration=1800", "--for", "fleet:deliveries", "--why", "engines must run"]
    told = said(*asked, "--from", "2026-01-01")
    assert "R15.duration for fleet deliveries is 1800 from 2026-01-01 00:00 UTC on" in told
    assert "it was the catalogue's number" in told
    assert "engines must run" in said("history", "--json")
    number = changes(url)[0].change_id
    assert "is the catalogue's again" in said("rollback", str(number), "--why", "asked to")
    for words, cause in (
        (["set", "R15=1800", "--for", "fleet:x", "--why", "y"], "RULE.PARAMETER=VALUE"),
        (["set", "R15.duration=9", "--for", "x", "--why", "y"], "fleet:NAME"),
        (["set", "R15.duration=9", "--for", "fleet:x", "--why", " "], "Say why"),
        ([*asked, "--from", "soon"], "is no time"),
        (["rollback", "999", "--why", "y"], "no change 999"),
    ):
        with pytest.raises(FleetError, match=cause):
            said(*words)


@pytest.mark.parametrize(
    ("rule_id", "parameter", "value", "said"),
    [
        ("R26", "window_s", 600, "the same for all vehicles"),
        ("R35", "duration", 60, "the same for all vehicles"),
        ("R08", "count", 5, "the same for all vehicles"),
        ("R41", "days", 10, "the same for all vehicles"),
        ("R18", "max_gap", 7200, "shorter than an hour"),
        ("R18", "sett", 70, "it has set, clear"),
    ],
)
def test_numbers_that_a_vehicle_cannot_have_of_its_own(
    rule_id: str, parameter: str, value: float, said: str
) -> None:
    wanted = Override(rule_id, parameter, "fleet", "north", valid_from=BEGIN, value=value)
    with pytest.raises(FleetError, match=said):
        set_override("nowhere", read_catalogue(), wanted, "because", "me@here")
