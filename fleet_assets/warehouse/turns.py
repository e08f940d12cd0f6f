"""Work that goes alone: retention, erasures, recent telemetry. Who comes second waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fleet_assets.warehouse.connection import connect_unbound


@contextmanager
def alone(postgres_url: str, what: str = "retention") -> Iterator[None]:
    """Holds a lock of the warehouse while the block runs; a process that dies lets it go.

    Args:
        postgres_url: the warehouse.
        what: work of the same name goes alone.
    """
    # unbound: no transaction stays open, which others would wait for
    with connect_unbound(postgres_url) as connection:
        connection.execute("select pg_advisory_lock(hashtext(%s))", [f"fleet/{what}"])
        yield
