"""Work that goes alone: retention, erasures. Who comes second waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fleet_assets.warehouse.connection import connect


@contextmanager
def alone(postgres_url: str) -> Iterator[None]:
    """Holds a lock of the warehouse while the block runs; a process that dies lets it go."""
    with connect(postgres_url) as connection:
        connection.execute("select pg_advisory_xact_lock(hashtext('fleet/retention'))")
        yield
