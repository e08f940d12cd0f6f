"""Long files come first, so that no worker is left with one of them at the end."""

from __future__ import annotations

from typing import Final

import pytest

LONG: Final = (
    "test_training_flow", "test_marts_law", "test_notebook", "test_dbt_marts", "test_real_trips",
    "test_telemetry_recent", "test_mart_revisions", "test_verification", "test_backfill",
    "test_questions", "test_order_law",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files stay whole, and within a file the order stays."""
    here = [item for item in items if item.path.parent.name == "integration"]
    others = [item for item in items if item.path.parent.name != "integration"]

    def rank(item: pytest.Item) -> int:
        name = item.path.stem
        return LONG.index(name) if name in LONG else len(LONG)

    items[:] = [*sorted(here, key=rank), *others]
