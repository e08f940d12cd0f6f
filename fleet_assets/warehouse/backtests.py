"""Backtests that were made: kept by what they say, so that a promotion can rest on one.

The id is a hash of the contents: the same proposal over the same data gives the same id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from fleet_assets.errors import FleetError
from fleet_assets.rules.catalogue import Catalogue, Rule
from fleet_assets.warehouse.connection import transact

_ID_LENGTH: Final = 16
_JUDGES: Final = {
    "version", "parameters", "tier_of", "repeats", "daily", "by_trip", "by_code", "needs",
    "needs_any", "beyond_bounds", "least_rate_hz", "exempt",
}  # fmt: skip
"""Fields of a rule that decide what it finds."""


@dataclass(frozen=True)
class Proposal:
    """What was compared: a catalogue, its stages and numbers among it, with another one.

    Attributes:
        against: the catalogue in force, with its stages.
        catalogue: the proposed one.
        texts: what `--set` gave.
    """

    against: Catalogue
    catalogue: Catalogue
    texts: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What is kept of it; `rules` are those that it is about."""
        before = {rule.id: rule for rule in self.against.rules}
        named = {text.partition(".")[0] for text in self.texts}
        rules = self.catalogue.rules
        return {
            "set": list(self.texts),
            "catalogue": _hash(self.catalogue.model_dump_json()),
            "against": _hash(self.against.model_dump_json()),
            "rules": [r.id for r in rules if r.id in named or before.get(r.id) != r],
            "stages": {rule.id: rule.stage for rule in rules},
            "judged_as": {rule.id: _judged_as(self.catalogue, rule) for rule in rules},
        }


def record_backtest(
    postgres_url: str, proposal: Proposal, report: Mapping[str, Any], made_by: str
) -> str:
    """Keeps a backtest; one that is there already has been made again.

    Args:
        postgres_url: the warehouse.
        proposal: what was compared.
        report: what `fleet backtest --format json` prints.
        made_by: who made it.

    Returns:
        Its id.
    """
    plain = json.loads(json.dumps(report, default=str))
    told = {"proposal": proposal.as_json(), "report": plain}
    given = {
        "backtest_id": _hash(json.dumps(told, sort_keys=True)),
        "made_by": made_by,
        "release": proposal.catalogue.release,
        **{name: Jsonb(value) for name, value in told.items()},
        **{
            name: plain[name]
            for name in ("first_hour", "last_hour", "rows", "vehicle_days", "changes")
        },
    }
    transact(postgres_url, lambda c: c.execute(_RECORD, given))
    return str(given["backtest_id"])


def refuse_unless_it_covers(
    connection: psycopg.Connection, catalogue: Catalogue, rule: Rule, backtest_id: str | None
) -> None:
    """Holds up a promotion that no backtest bears out.

    Raises:
        FleetError: no backtest is given, there is none of this id, it is not about the rule, it
            did not judge it, or it judged it by other numbers than the catalogue's.
    """
    cure = f"`fleet backtest --set {rule.id}.stage=live` prints the id of one that does."
    if backtest_id is None:
        raise FleetError(
            f"{rule.id} goes live only by a backtest that covers it (--backtest ID): {cure}"
        )
    found = connection.execute(_FIND, {"backtest_id": backtest_id}).fetchone()
    if found is None:
        raise FleetError(f"There is no backtest {backtest_id} that covers {rule.id}: {cure}")
    proposal, report = found
    reported = {row["rule_id"] for row in report["by_rule"]}
    if rule.id not in proposal["rules"] and rule.id not in reported:
        problem = "neither its proposal nor its report names it"
    elif proposal["stages"].get(rule.id) == "off":
        problem = "which was off in it"
    elif proposal["judged_as"].get(rule.id) != _judged_as(catalogue, rule):
        problem = "whose numbers were not those of the catalogue"
    else:
        return
    raise FleetError(f"Backtest {backtest_id} does not cover {rule.id}, {problem}: {cure}")


def _judged_as(catalogue: Catalogue, rule: Rule) -> str:
    """Changes with all that decides what a rule finds, in it and in those that it depends on."""
    meant: dict[str, Any] = {}
    waiting = [rule.id]
    while waiting:
        one = catalogue.rule(waiting.pop())
        if one.id not in meant:
            meant[one.id] = one.model_dump(mode="json", include=_JUDGES)
            of = (p.of.rpartition(".")[0] for p in one.parameters.values() if p.of)
            waiting += [other for other in (one.tier_of, one.repeats, *of) if other]
    return _hash(json.dumps(meant, sort_keys=True))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]


_RECORD = """
insert into warehouse.backtests (
    backtest_id, made_by, first_hour, last_hour, rows, vehicle_days, catalogue_release, proposal,
    changes, report
)
values (
    %(backtest_id)s, %(made_by)s, %(first_hour)s, %(last_hour)s, %(rows)s, %(vehicle_days)s,
    %(release)s, %(proposal)s, %(changes)s, %(report)s
)
on conflict (backtest_id) do update
set made_at = clock_timestamp(), made_by = excluded.made_by
"""
_FIND = "select proposal, report from warehouse.backtests where backtest_id = %(backtest_id)s"
