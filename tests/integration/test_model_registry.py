"""Models in the warehouse: versions, verdicts, an audit that only grows and has one order."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import psycopg
import pytest
from installation import Installation
from model_rows import BEGIN, request, verdict, version_of
from warehouse_data import fresh_warehouse, query

from fleet_assets.errors import FleetError
from fleet_assets.model_choice import rollout
from fleet_assets.model_choice.audit import AuditRow, Serving, rows_of, state_of
from fleet_assets.model_choice.drift import DRIFT_SCHEMA
from fleet_assets.model_choice.evaluation_sets import Use
from fleet_assets.warehouse.connection import WarehouseError
from fleet_assets.warehouse.model_registry import (
    Compared,
    change_audit,
    decisions,
    drift_rows,
    note_decision,
    note_drift,
    note_use,
    note_version,
    read_audit,
    uses,
    version,
    versions,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
NUMBERS = itertools.count()
OLD, NEW = "fm-00000000000a", "fm-00000000000b"


@pytest.fixture
def url(services: Installation) -> str:
    """A warehouse with two versions."""
    found = fresh_warehouse(services, f"model_registry_{next(NUMBERS)}")
    for number, each in enumerate((OLD, NEW)):
        note_version(found, version_of(each, trained_at=BEGIN + timedelta(days=7 * number)))
    return found


def compared(champion: str = OLD, challenger: str = NEW, stage: str | None = None) -> Compared:
    where = {"set_name": "2026Q4"} if stage is None else {"trial_stage": stage}
    return Compared(challenger, {"truck": champion, "van": champion}, BEGIN, "me@here", **where)


def serve_first(url: str, group: str = "truck") -> None:
    assert change_audit(url, lambda rows: rollout.first(rows, request(group), OLD))


def challenge(url: str) -> AuditRow | None:
    decided = verdict("serve", "truck").of("truck")
    return change_audit(url, lambda rows: rollout.challenge(rows, request(), NEW, decided))


def test_a_version_is_read_as_it_was_noted_and_stays_as_it_is(url: str) -> None:
    assert [each.version_id for each in versions(url)] == [NEW, OLD]
    assert version(url, OLD) == version_of(OLD)
    note_version(url, replace(version_of(OLD), trained_by="somebody else"))
    assert version(url, OLD) == version_of(OLD)
    with pytest.raises(FleetError, match="no model fm-nothing; `fleet models list`"):
        version(url, "fm-nothing")


def test_versions_of_one_recipe_have_one_recipe_id(url: str) -> None:
    ids = dict(query(url, "select version_id, recipe_id from warehouse.model_versions"))
    assert ids[OLD] == ids[NEW] == version(url, NEW).recipe_id
    other = replace(version_of(NEW), recipe={"seed": 2, "folds": (1, 2)})
    assert other.recipe_id != ids[NEW]
    again = replace(other, version_id="fm-00000000000c")
    note_version(url, again)
    assert version(url, again.version_id).recipe_id == other.recipe_id


def test_the_audit_is_read_as_it_was_written(url: str) -> None:
    serve_first(url)
    note_decision(url, verdict("serve", "truck", "van"), compared())
    made = challenge(url)
    rows = read_audit(url)
    assert rows[-1] == made
    assert [row.number for row in rows] == [1, 2]
    assert state_of(rows, "truck") == Serving(OLD, NEW, "shadow")
    assert rows[0].before is None
    assert change_audit(url, lambda rows: None) is None
    assert len(read_audit(url)) == 2


def test_a_refusal_adds_nothing(url: str) -> None:
    with pytest.raises(FleetError, match="No model serves truck yet"):
        change_audit(url, lambda rows: rollout.roll_back(rows, request()))
    assert read_audit(url) == []


def test_two_at_once_make_one_order(url: str) -> None:
    """Each sees what the other has done: the audit is whole, no number is there twice."""
    serve_first(url)
    together = threading.Barrier(8)

    def fail(number: int) -> AuditRow | None:
        together.wait()
        asked = replace(request(), why=f"attempt {number}")
        return change_audit(url, lambda rows: rollout.training_failed(rows, asked))

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(fail, range(8)))
    rows = rows_of(read_audit(url), "truck")
    assert [row.number for row in rows] == list(range(1, 10))
    assert sorted(row.number for row in made if row) == list(range(2, 10))


def test_only_one_of_two_becomes_the_first(url: str) -> None:
    together = threading.Barrier(2)

    def first(model: str) -> str:
        together.wait()
        try:
            change_audit(url, lambda rows: rollout.first(rows, request(), model))
        except FleetError as error:
            return str(error)
        return model

    with ThreadPoolExecutor(2) as pool:
        told = sorted(pool.map(first, (OLD, NEW)))
    (row,) = read_audit(url)
    assert row.after
    assert told == sorted([row.after.champion, f"{row.after.champion} serves truck already: "
                           "challenge it."])  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "update warehouse.model_audit set why = 'never mind'",
        "delete from warehouse.model_audit",
        "truncate warehouse.model_audit",
        "update warehouse.model_decisions set verdict = 'serve'",
        "delete from warehouse.model_evaluation_uses",
    ],
)
def test_history_is_not_rewritten(url: str, statement: str) -> None:
    serve_first(url)
    with (
        pytest.raises(psycopg.errors.RaiseException, match="only ever added"),
        psycopg.connect(url) as connection,
    ):
        connection.execute(statement)
    assert len(read_audit(url)) == 1


def test_the_database_wants_to_see_the_verdict(url: str) -> None:
    serve_first(url)
    with pytest.raises(WarehouseError, match=f"no decision on an evaluation set lets {NEW}"):
        challenge(url)
    note_decision(url, verdict("stay", "truck", "van"), compared())
    with pytest.raises(WarehouseError, match="no decision on an evaluation set"):
        challenge(url)
    note_decision(url, verdict("serve", "truck"), compared(champion=NEW, challenger=OLD))
    with pytest.raises(WarehouseError, match="no decision on an evaluation set"):
        challenge(url)
    note_decision(url, verdict("shadow", "truck"), compared())
    assert challenge(url)
    sure = verdict("serve", "truck", confidence=0.999)
    later = replace(request(), made_at=BEGIN + timedelta(days=10))

    def onward() -> AuditRow | None:
        return change_audit(
            url, lambda rows: rollout.step(rows, later, NEW, sure.of("truck"))
        )  # fmt: skip

    with pytest.raises(WarehouseError, match=r"no decision on the trial \(shadow\) lets"):
        onward()
    note_decision(url, sure, compared(stage="shadow"))
    made = onward()
    assert made
    assert made.action == "to_part"
    assert state_of(read_audit(url), "truck") == Serving(OLD, NEW, "part", 0.1)


def test_a_model_that_nobody_knows_does_not_serve(url: str) -> None:
    with pytest.raises(WarehouseError, match="foreign key"):
        change_audit(url, lambda rows: rollout.first(rows, request(), "fm-00000000dead"))
    assert read_audit(url) == []


def test_decisions_are_read_as_they_were_noted_newest_first(url: str) -> None:
    first, second = verdict("stay", "truck", "van"), verdict("serve", "truck", confidence=0.99)
    note_decision(url, first, compared())
    note_decision(url, second, compared(stage="shadow"))
    found = decisions(url)
    assert [each.of for each in found] == [second.of("truck"), first.of("van"), first.of("truck")]
    assert (found[0].trial_stage, found[0].set_name) == ("shadow", None)
    assert (found[1].set_name, found[1].champion, found[1].kind) == ("2026Q4", OLD, "refresh")
    assert found[0].decided_at == BEGIN
    assert len(decisions(url, group="truck")) == 2
    assert decisions(url, challenger=OLD) == []


def test_a_decision_says_what_it_rests_on(url: str) -> None:
    with pytest.raises(FleetError, match="an evaluation set or on a trial"):
        note_decision(url, verdict("stay", "truck"), Compared(NEW, {"truck": OLD}, BEGIN, "me"))
    with pytest.raises(FleetError, match="about van, too, but no champion"):
        note_decision(
            url,
            verdict("stay", "truck", "van"),
            Compared(NEW, {"truck": OLD}, BEGIN, "me", set_name="2026Q4"),
        )
    assert decisions(url) == []


def test_the_same_challenger_again_is_no_further_use(url: str) -> None:
    use = Use("2026Q4", "truck", NEW, "refresh")
    for each in (use, use, replace(use, group="van")):
        note_use(url, each, "me@here")
    assert uses(url) == [use, replace(use, group="van")]


def test_a_drift_report_takes_the_place_of_the_one_before(url: str) -> None:
    def report(*features: str, kind: str = "truck") -> pl.DataFrame:
        row = {"vehicle_type": kind, "vehicles": "known", "count": 9, "reference_count": 9}
        row |= {"effect": 0.3, "alarm": True, "why": "moved"}
        return pl.DataFrame([row | {"feature": each} for each in features], schema=DRIFT_SCHEMA)

    day = date(2026, 11, 30)
    note_drift(url, day, OLD, report("rpm_mean_60s", "speed_mean_60s"))
    note_drift(url, day, OLD, report("rpm_mean_60s", kind="van"))
    note_drift(url, day, OLD, report("rpm_mean_60s"))
    note_drift(url, day - timedelta(days=1), OLD, report("speed_mean_60s"))
    found = drift_rows(url)
    assert found.select("day", "feature", "vehicle_type").rows() == [
        (day, "rpm_mean_60s", "truck"),
        (day, "rpm_mean_60s", "van"),
        (day - timedelta(days=1), "speed_mean_60s", "truck"),
    ]
    assert found.drop("day", "version_id").head(1).equals(report("rpm_mean_60s"))
    assert drift_rows(url, first_day=day).height == 2
    assert drift_rows(url, last_day=datetime(2026, 1, 1, tzinfo=UTC).date()).is_empty()
