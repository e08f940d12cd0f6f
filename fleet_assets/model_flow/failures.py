"""A training that failed: what serves goes on, and the audit says that there was to be another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from fleet_assets.errors import FleetError
from fleet_assets.model_choice import rollout
from fleet_assets.model_choice.audit import AuditRow, Request
from fleet_assets.warehouse.model_registry import change_audit

_LONGEST: Final = 1000


@contextmanager
def noted_on_failure(postgres_url: str, groups: Iterable[str], made_by: str) -> Iterator[None]:
    """Notes what goes wrong within, and lets it go on; what a user can cure is only told.

    Args:
        postgres_url: the warehouse.
        groups: that are to get a model.
        made_by: who asks for the training.
    """
    try:
        yield
    except FleetError:
        raise
    except Exception as error:
        note_failed_training(postgres_url, groups, made_by, f"{type(error).__name__}: {error}")
        raise


def note_failed_training(
    postgres_url: str, groups: Iterable[str], made_by: str, why: str, now: datetime | None = None
) -> list[AuditRow]:
    """Adds a row for each group; who serves does not change.

    Args:
        postgres_url: the warehouse.
        groups: that were to get a model.
        made_by: who asked for the training.
        why: what went wrong.
        now: the moment.
    """
    moment = now or datetime.now(UTC)
    added: list[AuditRow] = []
    for group in sorted(groups):
        request = Request(group, moment, made_by, why[:_LONGEST])

        def change(rows: list[AuditRow], request: Request = request) -> AuditRow:
            return rollout.training_failed(rows, request)

        row = change_audit(postgres_url, change)
        assert row is not None
        added.append(row)
    return added
