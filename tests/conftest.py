"""Fixtures that several kinds of test share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from installation import Installation

hypothesis.settings.register_profile("no deadline", deadline=None)  # machines may be busy
hypothesis.settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Real Kafka and PostgreSQL, started as ``fleet up`` does, once for all tests.

    ``services.settings`` and ``services.endpoints`` say where they are. Tests share them: use
    topics, databases, schemas or lake folders of your own names.
    """
    installation = Installation(tmp_path_factory.mktemp("fleet"))
    installation.up()
    yield installation
    installation.stop()


@pytest.fixture
def new_installation(tmp_path: Path) -> Iterator[Callable[[], Installation]]:
    """Makes installations of this test only; what they run is stopped at its end."""
    made: list[Installation] = []

    def make() -> Installation:
        made.append(Installation(tmp_path / f"home{len(made)}"))
        return made[-1]

    yield make
    for installation in made:
        installation.stop()


@pytest.fixture(scope="session")
def flow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FLEET_HOME for flows in the test's process: the dbt project is parsed in it once."""
    return tmp_path_factory.mktemp("flow")
