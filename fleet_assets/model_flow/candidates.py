"""Which versions may still come to serve, and those that serve without a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fleet_assets.model_choice import rollout
from fleet_assets.model_choice.audit import AuditRow, Request, Serving, rows_of
from fleet_assets.model_choice.first import FirstVerdict, first_verdict, held_out_of
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


def verdict_on(version: ModelVersion, group: str) -> FirstVerdict:
    """Whether a version is good enough for a group where there is nothing to compare it with."""
    return first_verdict(group, held_out_of(version.figures))


def uncompared(
    rows: Sequence[AuditRow], request: Request, version: ModelVersion, problem: str | None = None
) -> AuditRow:
    """The row of a version that there is nothing to compare with, by its own figures.

    Args:
        rows: the audit.
        request: who wants it to serve.
        version: the version.
        problem: why the champion can be used no more; None: there is none.

    Returns:
        `first` or `replace` if it is good enough, else `refuse`.

    Raises:
        FleetError: a champion is there, or the version was rolled back before.
    """
    change = (
        rollout.first(rows, request, version.version_id)
        if problem is None
        else rollout.replace_unusable(rows, request, version.version_id, problem)
    )
    verdict = verdict_on(version, request.group)
    if verdict.may_serve:
        return replace(change, why=f"{change.why}; {verdict.reason}")
    return rollout.refuse_first(rows, request, version.version_id, verdict.reason)
