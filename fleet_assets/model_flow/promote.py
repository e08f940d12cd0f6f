"""Somebody wants a version to serve: the first of a group needs figures, others a verdict.

As a first one counts, too, what comes after a champion that cannot be read any more.

There is no other way: what the verdict refuses is refused, whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fleet_assets.errors import FleetError
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.model_choice import rollout
from fleet_assets.model_choice.audit import AuditRow, Request, state_of
from fleet_assets.model_choice.decision import GroupDecision
from fleet_assets.model_flow.candidates import uncompared
from fleet_assets.model_store import read_model
from fleet_assets.warehouse.model_registry import change_audit, decisions, version


def promote(postgres_url: str, artifacts: Artifacts, version_id: str, request: Request) -> AuditRow:
    """Lets a version serve the group of a request, tries it, or refuses it; each is a row.

    Args:
        postgres_url: the warehouse.
        artifacts: of the lake: what cannot be read does not serve.
        version_id: `fm-…`.
        request: for which group, who asks, when, why, from which event hour on.

    Returns:
        The row: `first`, `replace` (the champion cannot be used any more), `challenge` (in the
        shadow now) or `refuse`.

    Raises:
        FleetError: the version or its file is missing, it was not trained for the group, it was
            not compared with the champion, it was rolled back there, or another one is on trial.
    """
    wanted = version(postgres_url, version_id)
    if request.group not in wanted.groups:
        raise FleetError(
            f"{version_id} was not trained for {request.group}: it knows"
            f" {', '.join(wanted.groups)}."
        )
    read_model(artifacts, version_id)

    def change(rows: list[AuditRow]) -> AuditRow:
        state = state_of(rows, request.group)
        if state is None:
            return uncompared(rows, request, wanted)
        if version_id != state.champion and (why := unusable(artifacts, state.champion)):
            return uncompared(rows, request, wanted, why)
        decided = _decided(postgres_url, version_id, state.champion, request.group)
        return rollout.challenge(rows, request, version_id, decided)

    added = change_audit(postgres_url, change)
    assert added is not None
    return added


def roll_back(postgres_url: str, artifacts: Artifacts, request: Request) -> AuditRow:
    """Takes the challenger of a group away, or its champion in favour of the one before.

    Raises:
        FleetError: there is nothing to go back to, or what served before cannot be read any more.
    """

    def change(rows: list[AuditRow]) -> AuditRow:
        row = rollout.roll_back(rows, request)
        assert row.before
        assert row.after
        if row.after.champion != row.before.champion:
            read_model(artifacts, row.after.champion)
        return row

    added = change_audit(postgres_url, change)
    assert added is not None
    return added


def unusable(artifacts: Artifacts, version_id: str) -> str | None:
    """Why a version cannot judge anything, as after a release with other inputs; None: it can.

    An object store that does not answer is another matter, and raises.
    """
    try:
        read_model(artifacts, version_id)
    except FleetError as error:
        return str(error)
    return None


def in_groups(
    groups: Sequence[str], request: Request, work: Callable[[Request], AuditRow]
) -> tuple[list[AuditRow], dict[str, str]]:
    """The same request for several groups, each by itself.

    Returns:
        Rows that were added, and group → why none was.
    """
    added, refused = [], {}
    for group in groups:
        try:
            added.append(work(replace(request, group=group)))
        except FleetError as error:
            refused[group] = str(error)
    return added, refused


def _decided(postgres_url: str, version_id: str, champion: str, group: str) -> GroupDecision:
    """The newest verdict on an evaluation set about just these two.

    Raises:
        FleetError: there is none.
    """
    if version_id == champion:
        raise FleetError(f"{version_id} serves {group} already.")
    for each in decisions(postgres_url, version_id, group):
        if each.champion == champion and each.set_name is not None:
            return each.of
    raise FleetError(
        f"{version_id} was not compared with {champion}, which serves {group}:"
        f" `fleet models evaluate {version_id}` compares them."
    )
