"""Brings the warehouse's schema up to date; the statements are in ``migrations/versions``.

What belongs here: running Alembic from the package, one process at a time. What does not:
tables (a migration makes them) and anything of dbt.
"""

from __future__ import annotations

import threading

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from fleet_assets.warehouse.connection import WarehouseError, connect, plain_url, server_name

OLDEST_SERVER = 14
MIGRATION_LOCK = 0x_F1EE7_0001  # pg_advisory_xact_lock: one migration at a time per database
_ALEMBIC = threading.Lock()  # Alembic keeps its context in the module: one thread at a time


def upgrade(postgres_url: str) -> None:
    """Migrate to the newest schema; does nothing if it is there, safe from several processes.

    All of it is one transaction: it is done or it never happened.

    Raises:
        WarehouseError: the server is unreachable, too old, or refuses.
    """
    _check_server(postgres_url)
    url = sa.make_url(plain_url(postgres_url)).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(
        url, poolclass=sa.NullPool, connect_args={"options": "-c TimeZone=UTC"}
    )
    try:
        with _ALEMBIC, engine.begin() as connection:
            connection.execute(
                sa.text("select pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK}
            )
            command.upgrade(_config(connection), "head")
    except sa.exc.DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise WarehouseError(
            f"Migrating {server_name(postgres_url)} failed and was undone: {reason}. "
            "Use a role that owns the database (and may create the role bi_reader)."
        ) from error
    finally:
        engine.dispose()


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", "fleet_assets.warehouse:migrations")
    config.attributes["connection"] = connection
    return config


def _check_server(postgres_url: str) -> None:
    with connect(postgres_url) as connection:
        version = connection.info.server_version // 10_000
    if version < OLDEST_SERVER:
        raise WarehouseError(
            f"PostgreSQL at {server_name(postgres_url)} is version {version}: "
            f"{OLDEST_SERVER} or newer is needed."
        )


def known_migrations() -> list[str]:
    """Revisions of this installation, oldest first."""
    config = Config()
    config.set_main_option("script_location", "fleet_assets.warehouse:migrations")
    scripts = ScriptDirectory.from_config(config)
    return [script.revision for script in reversed(list(scripts.walk_revisions()))]
