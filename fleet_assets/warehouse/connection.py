"""Connections to the warehouse, and how their failures are told to a user.

What belongs here: opening a psycopg connection, and trying a transaction again when the server
says that a second try can succeed. What does not: any statement of the platform.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from fleet_assets.errors import FleetError

CONNECT_TIMEOUT = timedelta(seconds=10)
LOAD_TRIES = 6
FIRST_PAUSE = timedelta(milliseconds=200)

Result = TypeVar("Result")


class WarehouseError(FleetError):
    """PostgreSQL refused or could not be reached."""


def plain_url(postgres_url: str) -> str:
    """The address as libpq reads it: ``postgresql+psycopg://…`` loses its driver."""
    scheme, separator, rest = postgres_url.partition("://")
    return f"{scheme.split('+')[0]}{separator}{rest}"


def server_name(postgres_url: str) -> str:
    """``host:port/database`` of an address, without user and password."""
    try:
        known = conninfo_to_dict(plain_url(postgres_url))
    except psycopg.ProgrammingError:
        return "the configured address"
    host, port = known.get("host", "localhost"), known.get("port", 5432)
    return f"{host}:{port}/{known.get('dbname', '')}"


@contextmanager
def connect(postgres_url: str) -> Iterator[psycopg.Connection]:
    """A connection whose block is one transaction: committed at its end, undone by an error.

    Raises:
        WarehouseError: the server cannot be reached or refuses the login.
    """
    connection = open_connection(postgres_url)
    with connection:
        yield connection


def open_connection(postgres_url: str) -> psycopg.Connection:
    """A connection in UTC; the caller closes it.

    Raises:
        WarehouseError: the server cannot be reached or refuses the login.
    """
    try:
        return psycopg.connect(
            plain_url(postgres_url),
            connect_timeout=int(CONNECT_TIMEOUT.total_seconds()),
            application_name="fleet",
            options="-c TimeZone=UTC",
        )
    except psycopg.ProgrammingError:
        raise WarehouseError(
            "FLEET_POSTGRES_URL cannot be read: expected postgresql://user:password@host:port/name."
        ) from None
    except psycopg.OperationalError as error:
        raise WarehouseError(
            f"PostgreSQL at {server_name(postgres_url)} does not answer ({_first_line(error)}): "
            "start it with `fleet up`, or correct FLEET_POSTGRES_URL."
        ) from error


@contextmanager
def connect_unbound(postgres_url: str) -> Iterator[psycopg.Connection]:
    """A connection outside of any transaction: each statement is committed by itself.

    For locks that last and statements that PostgreSQL takes in no transaction.

    Raises:
        WarehouseError: the server cannot be reached or refuses the login.
    """
    with open_connection(postgres_url) as connection:
        connection.autocommit = True
        yield connection


def transact(
    postgres_url: str, work: Callable[[psycopg.Connection], Result], *, tries: int = 1
) -> Result:
    """Run ``work`` in one transaction; begin anew, with back-off, up to ``tries`` times.

    Serialization failures, deadlocks, and connections that break or cannot be opened are tried
    again; anything else that the server says is final.

    Raises:
        WarehouseError: the tries are used up, or the server refused for good.
    """
    pause = FIRST_PAUSE
    for remaining in reversed(range(tries)):
        try:
            with connect(postgres_url) as connection:
                return work(connection)
        except (psycopg.OperationalError, WarehouseError) as error:
            if not remaining:
                raise _failed(postgres_url, error) from error
            time.sleep(pause.total_seconds())
            pause *= 2
        except psycopg.Error as error:
            raise _failed(postgres_url, error) from error
    raise AssertionError("unreachable")


def _failed(postgres_url: str, error: Exception) -> WarehouseError:
    if isinstance(error, WarehouseError):
        return error
    hint = " Run `fleet up` to migrate." if isinstance(error, psycopg.errors.UndefinedTable) else ""
    return WarehouseError(
        f"PostgreSQL at {server_name(postgres_url)} refused: {_first_line(error)}.{hint}"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
