"""What was done about which model serves, for logs and people."""

from __future__ import annotations

from dataclasses import dataclass, field

from fleet_assets.model_choice.audit import AuditRow
from fleet_assets.model_choice.decision import Decision


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
        self.told[group] = f"{row.action}: {row.why}"
