"""Verifying some hours across lake, warehouse and marts: what is compared, in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from fleet_assets.backfill.steps import chosen_steps, names
from fleet_assets.lake.store import Lake
from fleet_assets.model_flow.book import model_book
from fleet_assets.verification.differences import Difference
from fleet_assets.verification.lake_steps import (
    Books,
    Compared,
    hour_differences,
    onset_differences,
)
from fleet_assets.verification.loads import load_differences
from fleet_assets.verification.marts import mart_differences
from fleet_assets.verification.telemetry import telemetry_differences
from fleet_assets.warehouse.rule_book import rule_book
from fleet_assets.warehouse.vehicles import known_vehicles, tanks_at
from partitions.days import day_of
from partitions.hours import hour_start, is_hour

_TABLES: Final = 4
"""Tables that are made from raw messages."""


@dataclass(frozen=True)
class Verified:
    """What came of it.

    Attributes:
        hours: that were looked at.
        not_rebuilt: among them, hours whose raw messages are gone or not all taken in yet.
        found: what was compared.
    """

    hours: tuple[str, ...]
    not_rebuilt: tuple[str, ...]
    found: Compared

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What differs."""
        return self.found.differences


def verify(
    lake: Lake,
    postgres_url: str,
    event_hours: Sequence[str],
    late_after: timedelta,
    state_dir: Path,
    report: Callable[[str], None] = lambda _: None,
) -> Verified:
    """Makes hours anew without writing them, and compares them with what is stored.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        event_hours: keys of closed hours, in order.
        late_after: age at arrival from which on a message counts as late.
        state_dir: a folder for what dbt keeps.
        report: is told what is being done.
    """
    known = frozenset(known_vehicles(postgres_url)["vehicle_id"])
    books = Books(
        rule_book(postgres_url),
        model_book(lake, postgres_url),
        lambda hour: tanks_at(postgres_url, hour_start(hour)),
    )
    found, not_rebuilt = Compared(), []
    for number, hour in enumerate(event_hours, start=1):
        report(f"{hour} ({number} of {len(event_hours)})")
        of_telemetry = telemetry_differences(lake, hour, known, late_after)
        if of_telemetry is None:
            not_rebuilt.append(hour)
        else:
            found = found.and_(Compared(tuple(of_telemetry), compared=_TABLES))
        found = found.and_(hour_differences(lake, hour, books))
    report("trips and anomalies")
    found = found.and_(onset_differences(lake, event_hours, books))
    report("loads of the warehouse")
    found = found.and_(load_differences(lake, postgres_url, event_hours))
    report("marts")
    days = sorted({day_of(hour) for hour in event_hours})
    found = found.and_(mart_differences(postgres_url, state_dir, days))
    return Verified(tuple(event_hours), tuple(not_rebuilt), found)


def repair_command(differences: Sequence[Difference]) -> str:
    """The backfill that makes right what differs: of each job, what comes first in the flow."""
    named = {_asset(difference.table): difference for difference in differences}
    models = [name for name, found in named.items() if found.table.startswith("marts.")]
    known = names(models)
    steps = chosen_steps(list(named), models)
    wanted = [next(name for name in named if known[name] == step) for step in steps]
    keys = sorted(difference.key for difference in differences)
    if any(not is_hour(key) for key in keys):
        keys = sorted(day_of(key) for key in keys)
    return f"fleet backfill {' '.join(wanted)} --from {keys[0]} --to {keys[-1]}"


def _asset(table: str) -> str:
    """Name of the asset of a table of the lake, the warehouse or the marts."""
    schema, _, name = table.rpartition(".")
    return f"warehouse_{name}" if schema == "warehouse" else name
