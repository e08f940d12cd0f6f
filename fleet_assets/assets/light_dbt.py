"""dagster-dbt without importing dbt into the process.

dbt itself runs as a child process in any case. Left to itself, dagster-dbt imports dbt-core into
every run worker, asks a child for its version before each call (which imports dbt again) and makes
an adapter that only optional features use. It supports environments without dbt-core, where it
does none of this: that road is taken here. Figures are in docs/decisions/0010.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as installed_version
from typing import Any

from packaging import version

_PROBED = "dbt.version"


@contextmanager
def _dbt_hidden() -> Iterator[None]:
    """While it is open, dagster-dbt's probe for dbt-core finds nothing."""
    hide = _PROBED not in sys.modules
    if hide:
        sys.modules[_PROBED] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hide:
            del sys.modules[_PROBED]


with _dbt_hidden():
    from dagster_dbt import DagsterDbtTranslator, DbtCliResource, dbt_assets


class ChildDbt(DbtCliResource):
    """dbt as a child process and nothing else of it."""

    @property
    def _cli_version(self) -> version.Version:
        return version.parse(installed_version("dbt-core"))

    def _initialize_dbt_core_adapter(self, *_: Any, **__: Any) -> None:  # type: ignore[override]
        return None


__all__ = ["ChildDbt", "DagsterDbtTranslator", "dbt_assets"]
