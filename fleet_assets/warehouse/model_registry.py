"""What the warehouse knows of models: versions, the audit, decisions, uses, drift."""

from __future__ import annotations

from fleet_assets.warehouse.model_audit import change_audit, read_audit
from fleet_assets.warehouse.model_decisions import (
    Compared,
    NotedDecision,
    decisions,
    note_decision,
    note_use,
    uses,
)
from fleet_assets.warehouse.model_drift import NOTED_DRIFT_SCHEMA, drift_rows, note_drift
from fleet_assets.warehouse.model_versions import ModelVersion, note_version, version, versions

__all__ = [
    "NOTED_DRIFT_SCHEMA",
    "Compared",
    "ModelVersion",
    "NotedDecision",
    "change_audit",
    "decisions",
    "drift_rows",
    "note_decision",
    "note_drift",
    "note_use",
    "note_version",
    "read_audit",
    "uses",
    "version",
    "versions",
]
