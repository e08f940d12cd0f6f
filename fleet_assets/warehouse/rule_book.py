"""The rules with all that the warehouse knows of them."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg

from fleet_assets.rules.book import RuleBook, releases
from fleet_assets.warehouse.connection import transact
from fleet_assets.warehouse.rule_changes import overrides_in_force
from fleet_assets.warehouse.rule_stages import stages_in_force
from fleet_assets.warehouse.rule_vehicles import vehicles_by_time
from partitions.hours import hour_key


def rule_book(postgres_url: str) -> RuleBook:
    """Catalogues, vehicles, overrides and stages."""
    return RuleBook(
        releases(),
        vehicles_by_time(postgres_url),
        overrides_in_force(postgres_url),
        stages_in_force(postgres_url),
    )


def note_catalogue(postgres_url: str, book: RuleBook) -> None:
    """Tells the marts which rules there are, as they are in force now."""
    now = hour_key(datetime.now(UTC))
    catalogue, stages = book.catalogue(now), book.judgement(now)
    rows = [
        (
            rule.id, rule.type, rule.title, rule.severity,
            "live" if rule.id in stages.live else "shadow" if rule.id in stages.shadow else "off",
            rule.version, catalogue.release,
        )
        for rule in catalogue.rules
    ]  # fmt: skip

    def work(connection: psycopg.Connection) -> None:
        known = connection.execute("select * from warehouse.rule_catalogue").fetchall()
        if sorted(known) == sorted(rows):
            return
        connection.execute("delete from warehouse.rule_catalogue")
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into warehouse.rule_catalogue values (%s, %s, %s, %s, %s, %s, %s)", rows
            )

    transact(postgres_url, work)
