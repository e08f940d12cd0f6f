"""The in-memory DuckDB that the domain computes with."""

from __future__ import annotations

from functools import lru_cache

import duckdb


@lru_cache(maxsize=1)
def _database() -> duckdb.DuckDBPyConnection:
    database = duckdb.connect(
        config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    )
    database.execute("SET GLOBAL TimeZone = 'UTC'")
    return database


def connect() -> duckdb.DuckDBPyConnection:
    """A connection of its own (temporary tables are private to it), in UTC.

    Nothing is fetched from or told to the outside. Opening a database takes 20 ms, so a process
    keeps one.
    """
    return _database().cursor()
