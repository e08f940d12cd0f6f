"""Rows of the model registry for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fleet_assets.model_choice.audit import Request
from fleet_assets.model_choice.bootstrap import Interval
from fleet_assets.model_choice.decision import Decision, GroupDecision, Verdict
from fleet_assets.model_choice.measured import Measured
from fleet_assets.model_choice.policy import ChallengerKind
from fleet_assets.warehouse.model_registry import ModelVersion

BEGIN = datetime(2026, 11, 2, 3, tzinfo=UTC)

GOOD = {"hours": 60.0, "false_alarms": 2, "clear_faults": 50, "clear_found": 42}
"""Of a version on days that no training saw: it may be a first one."""


def version_of(version_id: str, **changes: Any) -> ModelVersion:
    """A version, trained on October."""
    given: dict[str, Any] = {
        "recipe": {"seed": 1, "alarms_per_vehicle_day": 0.7},
        "training_set": "ts-0123456789ab",
        "data_version": "dv-1",
        "trained_at": BEGIN,
        "trained_by": "me@here",
        "first_event_time": BEGIN - timedelta(days=30),
        "last_event_time": BEGIN,
        "groups": ("truck", "van"),
        "counts": {"vehicles": 7, "windows": 17_304},
        "figures": {
            "known": {"recall": 0.84, "precision": 0.95, "alarms_per_hour": 0.03},
            "by_group": {"truck": GOOD, "van": GOOD},
        },
    }
    return ModelVersion(version_id, **given | changes)


def request(group: str = "truck", why: str = "to see") -> Request:
    """Somebody's, in the hour of BEGIN."""
    return Request(group, BEGIN, "me@here", why)


def verdict(
    of: Verdict, *groups: str, kind: ChallengerKind = "refresh", confidence: float = 0.95
) -> Decision:
    """The same verdict for some groups."""
    numbers = Measured(
        vehicles=30, vehicles_with_events=28, vehicle_days=300, events=500, hours=900.5,
        champion_recall=0.8, challenger_recall=0.81, champion_alarms=0.05, challenger_alarms=None,
        gain=Interval(0.01, -0.002, 0.022), over=None, more=Interval(0.001, -0.01, 0.012),
    )  # fmt: skip
    reasons = (f"recall says {of}", "false alarms: no hours in which there could have been any")
    decided = (
        GroupDecision(group, of, reasons, numbers, confidence, is_worse=of == "stay")
        for group in groups
    )
    return Decision(kind, tuple(decided))
