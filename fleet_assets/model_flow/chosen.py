"""What was done about which model serves, for logs and people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fleet_assets.errors import FleetError
from fleet_assets.model_choice.audit import AuditRow
from fleet_assets.model_choice.decision import Decision
from fleet_assets.warehouse.connection import WarehouseError


@dataclass
class Chosen:
    """What was done.

    Attributes:
        rows: that were added to the audit.
        told: group → what was done or why nothing was.
        decisions: verdicts that were reached.
    """

    rows: list[AuditRow] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)

    def add(self, group: str, row: AuditRow | None, otherwise: str) -> None:
        """Notes a step, or why there is none."""
        if row is None:
            self.told[group] = otherwise
            return
        self.rows.append(row)
        self.told[group] = in_words(row)

    @contextmanager
    def alone(self, groups: Iterable[str]) -> Iterator[None]:
        """What goes wrong within is told of these groups; the others go on.

        A warehouse that does not answer is another matter, and raises.
        """
        try:
            yield
        except WarehouseError:
            raise
        except FleetError as error:
            self.told |= dict.fromkeys(groups, str(error))


def in_words(row: AuditRow) -> str:
    """A change: what serves from when on, and why."""
    when = f"from {row.valid_from:%Y-%m-%d %H:%M} UTC on"
    if row.before == row.after:
        stays = "no model serves" if row.after is None else f"{row.after.champion} stays"
        return f"{row.action}: {stays}: {row.why}"
    assert row.after is not None
    beside = ""
    if row.after.challenger is not None:
        where = "in the shadow" if row.after.stage == "shadow" else f"on {row.after.share:.0%}"
        beside = f", {row.after.challenger} {where}"
    return f"{row.action}: {row.after.champion} serves {when}{beside}: {row.why}"
