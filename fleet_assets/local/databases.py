"""Databases on a PostgreSQL server: does it answer, make one that is missing, name its sibling."""

from __future__ import annotations

from urllib.parse import quote, urlsplit, urlunsplit

from fleet_assets.errors import FleetError

#: The server must be at least this new (major version).
MINIMUM_VERSION = 14


def server_answers(url: str) -> bool:
    """Whether a connection to ``url`` succeeds."""
    return connection_problem(url) is None


def connection_problem(url: str) -> str | None:
    """Why a connection to ``url`` fails, in one line; None if it succeeds."""
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=3):
            return None
    except psycopg.Error as error:
        return " ".join(str(error).split())


def database_exists(url: str, name: str) -> bool:
    """Whether the server of ``url`` has a database of this name; False if it does not answer."""
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,))
            return found.fetchone() is not None
    except psycopg.Error:
        return False


def ensure_database(url: str) -> None:
    """Create the database that ``url`` names if the server has none of that name.

    Raises:
        FleetError: the server is older than PostgreSQL 14, or refuses.
    """
    import psycopg
    from psycopg import sql

    name = database_name(url)
    try:
        with psycopg.connect(with_database(url, "postgres"), autocommit=True) as connection:
            version = connection.info.server_version // 10_000
            if version < MINIMUM_VERSION:
                raise FleetError(
                    f"PostgreSQL {version} at {without_password(url)} is too old: "
                    f"point FLEET_POSTGRES_URL at version {MINIMUM_VERSION} or later."
                )
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if found.fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.errors.DuplicateDatabase:
        return
    except psycopg.Error as error:
        if connection_problem(url) is None:  # it exists; only `postgres` is closed to this user
            return
        raise FleetError(
            f"Database {name} at {without_password(url)} cannot be made "
            f"({' '.join(str(error).split())}): create it there, owned by the user of "
            "FLEET_POSTGRES_URL, or give that user CREATEDB."
        ) from error


def database_name(url: str) -> str:
    """The database that an address names."""
    name = urlsplit(url).path.lstrip("/")
    if not name:
        raise FleetError(
            f"FLEET_POSTGRES_URL {without_password(url)} names no database: "
            "end it with /name, for example /fleet."
        )
    return name


def with_database(url: str, name: str) -> str:
    """The same address with another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def with_login(url: str, user: str, password: str | None = None) -> str:
    """The same address for another user."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    secret = "" if password is None else f":{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}{secret}@{place}"))


def without_password(url: str) -> str:
    """The address as it may be shown."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")))
