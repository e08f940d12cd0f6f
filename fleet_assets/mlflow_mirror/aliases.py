"""Which version serves which group, as aliases and tags of MLflow's registered model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from fleet_assets.mlflow_mirror.store import NAME
from fleet_assets.model_choice.audit import AuditRow, state_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as Registered

SERVES: Final = "serves"
"""Tag that says in words where a version serves or is on trial."""


def wanted_aliases(rows: Sequence[AuditRow]) -> dict[str, str]:
    """Alias → version id: `champion-truck`, `challenger-truck`, by what was decided last."""
    found = {}
    for group in sorted({row.group for row in rows}):
        state, name = state_of(rows, group), re.sub(r"\W", "-", group)
        if state is not None:
            found[f"champion-{name}"] = state.champion
            if state.challenger is not None:
                found[f"challenger-{name}"] = state.challenger
    return found


def serves_in_words(rows: Sequence[AuditRow]) -> dict[str, str]:
    """Version id → such as `truck, van: shadow`; versions that serve nowhere are missing."""
    found: dict[str, list[str]] = {}
    for group in sorted({row.group for row in rows}):
        state = state_of(rows, group)
        if state is None:
            continue
        found.setdefault(state.champion, []).append(group)
        if state.challenger is not None:
            stage = "shadow" if state.stage == "shadow" else f"{state.share:.0%}"
            found.setdefault(state.challenger, []).append(f"{group}: {stage}")
    return {version_id: ", ".join(words) for version_id, words in found.items()}


def follow_audit(
    client: MlflowClient, known: Mapping[str, Registered], rows: Sequence[AuditRow]
) -> dict[str, str]:
    """Sets aliases and tags as the audit says.

    Args:
        client: of MLflow.
        known: version id → what is registered of it.
        rows: the audit.

    Returns:
        Aliases that stand now, with their version ids; those of versions that are not registered
        are missing.
    """
    wanted = {name: of for name, of in wanted_aliases(rows).items() if of in known}
    numbers = {name: str(known[of].version) for name, of in wanted.items()}
    standing = {name: str(n) for name, n in client.get_registered_model(NAME).aliases.items()}
    for name in standing.keys() - numbers.keys():
        client.delete_registered_model_alias(NAME, name)
    for name, number in numbers.items():
        if standing.get(name) != number:
            client.set_registered_model_alias(NAME, name, number)
    words = serves_in_words(rows)
    for version_id, each in known.items():
        told = words.get(version_id, "nowhere")
        if each.tags.get(SERVES) != told:
            client.set_model_version_tag(NAME, each.version, SERVES, told)
    return wanted
