"""Migrations form one line, whoever adds them at the same time."""

from __future__ import annotations

from alembic.config import Config
from alembic.script import ScriptDirectory


def test_migrations_have_one_head_and_are_numbered_in_order() -> None:
    config = Config()
    config.set_main_option("script_location", "fleet_assets.warehouse:migrations")
    scripts = ScriptDirectory.from_config(config)
    line = [script.revision for script in scripts.walk_revisions()][::-1]
    assert len(scripts.get_heads()) == 1
    assert line == [f"{number:04}" for number in range(1, len(line) + 1)]
