"""Stages of rules in the warehouse: as of event time, live only by a backtest, rolled back."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from installation import Installation
from typer.testing import CliRunner
from warehouse_data import fresh_warehouse, query

from fleet_assets.commands.rules import rules as app
from fleet_assets.errors import FleetError
from fleet_assets.rules.catalogue import Catalogue, Parameter, read_catalogue
from fleet_assets.warehouse.backtests import Proposal, record_backtest
from fleet_assets.warehouse.rule_book import rule_book
from fleet_assets.warehouse.rule_stages import (
    WantedStage,
    roll_back_stage,
    set_stage,
    stage_changes,
    stages_at,
)
from partitions.hours import hour_key

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
BEGIN, LATER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
RULES = read_catalogue()


@pytest.fixture
def url(services: Installation, request: pytest.FixtureRequest) -> str:
    return fresh_warehouse(
        services, "stages_" + re.sub(r"\W+", "_", request.node.name[:50].lower())
    )


def put(
    url: str, stage: str, valid_from: datetime = BEGIN, *, rule: str = "R18", by: str | None = None
) -> int:
    wanted = WantedStage(rule, stage, valid_from, by)
    return set_stage(url, RULES, wanted, "because", "me@here").change_id


def with_rule(rule_id: str, **changes: Any) -> Catalogue:
    """The catalogue with fields of a rule changed."""
    rules = (r.model_copy(update=changes) if r.id == rule_id else r for r in RULES.rules)
    return Catalogue.model_validate(RULES.model_copy(update={"rules": tuple(rules)}).model_dump())


def backtest(
    url: str, *named: str, rules: Catalogue = RULES, texts: tuple[str, ...] = (), rows: int = 180
) -> str:
    """A backtest whose report names some rules."""
    report = {
        "first_hour": "2026-01-01T00", "last_hour": "2026-01-01T05", "rows": rows,
        "vehicle_days": 0.25, "changes": 1, "by_rule": [{"rule_id": rule} for rule in named],
    }  # fmt: skip
    return record_backtest(url, Proposal(RULES, rules, texts), report, "me@here")


def test_a_stage_counts_from_an_event_time_on(url: str) -> None:
    put(url, "shadow")
    put(url, "off", LATER)
    put(url, "off", LATER, rule="R01")
    a_moment = timedelta(microseconds=1)
    assert stages_at(url, BEGIN - a_moment) == {}
    assert stages_at(url, BEGIN) == {"R18": "shadow"}
    assert stages_at(url, LATER - a_moment) == {"R18": "shadow"}
    assert stages_at(url, LATER) == {"R18": "off", "R01": "off"}
    newest = stage_changes(url)[0]
    assert (newest.made_by, newest.why, newest.old_stage) == ("me@here", "because", None)
    assert [c.new_stage for c in stage_changes(url, "R18")] == ["off", "shadow"]


def test_hours_are_judged_by_it(url: str) -> None:
    put(url, "shadow", LATER)
    book = rule_book(url)
    assert "R18" in book.judgement("2026-01-31T23").live
    assert "R18" in book.judgement(hour_key(LATER)).shadow


def test_what_is_so_already_or_does_not_exist_is_refused(url: str) -> None:
    put(url, "shadow")
    for rule, stage, cause in (
        ("R18", "shadow", "R18 is shadow there already"),
        ("R01", "live", "R01 is live there already"),
        ("R77", "off", "no rule R77"),
        ("R18", "on", "'on' is no stage of a rule; there are off, shadow, live"),
    ):
        with pytest.raises(FleetError, match=cause):
            put(url, stage, LATER, rule=rule)
    assert len(stage_changes(url)) == 1


def test_only_a_backtest_that_covers_the_rule_lets_it_go_live(url: str) -> None:
    put(url, "shadow")
    limit = RULES.rule("R18").parameters | {"set": Parameter(value=70)}
    refused = {
        None: r"R18 goes live only by a backtest that covers it \(--backtest ID\)",
        "0123456789abcdef": "There is no backtest 0123456789abcdef that covers R18",
        backtest(url, "R01", "R19"): "does not cover R18, neither its proposal nor its report",
        backtest(url, "R18", rules=with_rule("R18", stage="off")): "R18, which was off in it",
        backtest(
            url, "R18", rules=with_rule("R18", parameters=limit), texts=("R18.set=70",)
        ): "R18, whose numbers were not those of the catalogue",
    }
    for given, cause in refused.items():
        with pytest.raises(FleetError, match=cause) as told:
            put(url, "live", LATER, by=given)
        assert "`fleet backtest --set R18.stage=live` prints the id" in str(told.value)
    assert stages_at(url, LATER) == {"R18": "shadow"}
    put(url, "live", LATER, by=backtest(url, "R18"))
    assert stages_at(url, LATER) == {"R18": "live"}


def test_a_rule_that_depends_on_changed_numbers_is_not_covered(url: str) -> None:
    limit = RULES.rule("R18").parameters | {"set": Parameter(value=70)}
    put(url, "shadow", rule="R19")
    lower = backtest(url, "R19", rules=with_rule("R18", parameters=limit))
    with pytest.raises(FleetError, match="whose numbers were not"):
        put(url, "live", LATER, rule="R19", by=lower)


def test_a_proposal_covers_a_rule_that_found_nothing(url: str) -> None:
    put(url, "off", rule="R32")
    by = backtest(url, rules=with_rule("R32", stage="live"), texts=("R32.stage=live",))
    put(url, "live", rule="R32", by=by)
    assert stages_at(url, BEGIN) == {"R32": "live"}


def test_the_database_itself_holds_up_a_rule_without_a_backtest(url: str) -> None:
    put(url, "shadow")
    with pytest.raises(psycopg.errors.CheckViolation, match="live_needs_a_backtest"):
        query(url, "update warehouse.rule_stage_changes set new_stage = 'live'")


def test_rolling_back_brings_the_stage_before_it_back_and_is_a_change_too(url: str) -> None:
    by = backtest(url, "R18")
    put(url, "shadow")
    promoted = put(url, "live", by=by)
    demoted = put(url, "off")
    with pytest.raises(FleetError, match=f"Change {demoted} has changed the same stage since"):
        roll_back_stage(url, promoted, "no", "me")
    undone = roll_back_stage(url, demoted, "it was right", "you@there")
    assert undone
    assert (undone.rolls_back, undone.old_stage, undone.new_stage) == (demoted, "off", "live")
    assert undone.backtest_id == by
    assert stages_at(url, BEGIN) == {"R18": "live"}
    first = put(url, "off", rule="R01")
    assert roll_back_stage(url, first, "no", "me")
    assert stages_at(url, BEGIN) == {"R18": "live"}
    assert roll_back_stage(url, 999, "no", "me") is None


def test_the_same_proposal_over_the_same_data_is_one_backtest(url: str) -> None:
    first = backtest(url, "R18")
    made = query(url, "select made_at from warehouse.backtests")
    assert backtest(url, "R18") == first
    again = query(url, "select made_at from warehouse.backtests")
    assert len(again) == 1
    assert again > made
    others = {
        backtest(url, "R18", "R19"),
        backtest(url, "R18", rows=181),
        backtest(url, "R18", texts=("R18.set=70",)),
        backtest(url, "R18", rules=with_rule("R18", stage="shadow")),
    }
    assert len(others | {first}) == 5


def test_the_commands(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_POSTGRES_URL", url)
    monkeypatch.setenv("COLUMNS", "200")

    def said(*words: str) -> str:
        result = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    on = ["--from", "2026-01-01", "--why", "too loud"]
    told = said("stage", "r18", "shadow", *on)
    assert "R18 is shadow in hours from 2026-01-01 00:00 UTC on; it was live." in told
    listed = said("list", "--type", "over_speeding")
    assert "shadow (catalogue: live)" in listed
    assert '"stage_in_force": "shadow"' in said("list", "--type", "over_speeding", "--json")
    assert "stage: shadow (catalogue: live)" in said("show", "R18")
    with pytest.raises(FleetError, match="goes live only by a backtest"):
        said("stage", "R18", "live", "--from", "2026-02-01", "--why", "proven")
    by = backtest(url, "R18")
    promote = ["stage", "R18", "live", "--from", "2026-02-01", "--why", "proven", "--backtest", by]
    assert "it was shadow." in said(*promote)
    told = said("stage", "R18", "off", "--from", "2025-01-01", "--why", "unknown then")
    assert "It is shadow from 2026-01-01 00:00 UTC on. It is live from 2026-02-01" in told
    said("set", "R18.duration=60", "--for", "fleet:north", "--why", "ramps")
    shown = said("history", "R18")
    for part in (f"proven (backtest {by})", "R18.stage", "R18.duration", "ramps"):
        assert part in shown
    numbers = [one["change_id"] for one in json.loads(said("history", "--json"))]
    assert numbers == sorted(set(numbers), reverse=True)
    assert len(numbers) == 4
    promoted = stage_changes(url)[1].change_id
    assert "R18 is shadow again in hours from 2026-02-01" in said(
        "rollback", str(promoted), "--why", "no"
    )
    assert "R18.duration for fleet north is the catalogue's again" in said(
        "rollback", str(numbers[0]), "--why", "no"
    )
    undone = said("history")
    assert f"(undoes {promoted})" in undone
    assert "as before" in undone
    with pytest.raises(FleetError, match="no change 999"):
        said("rollback", "999", "--why", "no")


def test_the_list_is_there_without_a_warehouse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_POSTGRES_URL", "postgresql://nobody@127.0.0.1:1/none")
    result = CliRunner().invoke(app, ["list", "--json"], catch_exceptions=False)
    assert len(json.loads(result.stdout)) == len(RULES.rules)
    assert "Stages are the catalogue's: PostgreSQL at 127.0.0.1:1" in result.stderr
