"""Which versions may still come to serve."""

from __future__ import annotations

from collections.abc import Sequence

from fleet_assets.model_choice import rollout
from fleet_assets.model_choice.audit import AuditRow, Serving, rows_of
from fleet_assets.warehouse.model_registry import ModelVersion


def is_new(
    newest: ModelVersion,
    state: Serving,
    audit: Sequence[AuditRow],
    group: str,
    known: Sequence[ModelVersion],
) -> bool:
    """Whether a version is to be compared: it is newer than the champion and was never judged.

    Args:
        newest: the version.
        state: what serves the group.
        audit: all of it.
        group: the group.
        known: all versions.
    """
    if newest.version_id == state.champion:
        return False
    trained = {each.version_id: each.trained_at for each in known}
    champion_at = trained.get(state.champion)
    if champion_at is not None and newest.trained_at <= champion_at:
        return False
    return not is_judged(audit, group, newest.version_id)


def is_judged(audit: Sequence[AuditRow], group: str, version_id: str) -> bool:
    """Whether a version was challenged with, refused or rolled back in a group."""
    judged = ("challenge", "refuse")  # why begins with the request, the version comes next
    return version_id in rollout.rolled_back(audit, group) or any(
        row.action in judged and version_id in row.why.split("; ") for row in rows_of(audit, group)
    )
