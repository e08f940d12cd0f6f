"""Logins of people and BI tools that read `marts`: all of it, or the rows of some fleets.

What a login may do is PostgreSQL's to keep: roles, grants and row-level security, made by migration
and by dbt (`macros/visible_fleets.sql`). Whose rows it sees stands in `warehouse.bi_logins`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import sql

from fleet_assets.warehouse.connection import WarehouseError, transact

ALL_FLEETS: Final = "bi_reader"
SOME_FLEETS: Final = "bi_fleet_reader"
USABLE: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
IDLE_TIMEOUT: Final = "10min"
"""A session that has begun a transaction and asks nothing holds what it has read on the disk."""
_PASSWORD_BYTES: Final = 24


@dataclass(frozen=True)
class Limits:
    """What a login may take of the server.

    Attributes:
        statement_timeout_s: a query is stopped after so many seconds; a session may ask for more.
        connections: at most so many at once.
    """

    statement_timeout_s: int = 60
    connections: int = 10


@dataclass(frozen=True)
class BiLogin:
    """A login as it was granted; `fleet_ids` None: all fleets."""

    login: str
    fleet_ids: tuple[str, ...] | None
    granted_by: str
    granted_at: datetime
    statement_timeout: str | None
    connections: int
    connected: int


def grant_login(
    postgres_url: str,
    login: str,
    fleet_ids: Sequence[str] | None,
    granted_by: str,
    limits: Limits,
    *,
    new_password: bool = False,
) -> str | None:
    """Makes a login, or changes what one sees.

    Args:
        postgres_url: the warehouse, by a role that may make others.
        login: its name.
        fleet_ids: whose rows it sees; None: all.
        granted_by: who asks, for the record.
        limits: of the login.
        new_password: give one to a login that has one already.

    Returns:
        The password, if it is a new one: it is not kept.

    Raises:
        WarehouseError: the name cannot be used or belongs to a role of another kind, a fleet is
            unknown, or the server refuses.
    """
    if not USABLE.fullmatch(login) or login.startswith("pg_"):
        raise WarehouseError(
            f"{login!r} is no name of a login: use small letters, digits and _, not pg_ in front."
        )

    def work(connection: psycopg.Connection) -> str | None:
        known = _is_ours(connection, login)
        _refuse_unknown_fleets(connection, fleet_ids)
        password = None
        if not known:
            connection.execute(_do("create role {} login", login))
        if not known or new_password:
            password = secrets.token_urlsafe(_PASSWORD_BYTES)
            connection.execute(_of_password(connection, login, password))
        for statement in _of_role(login, fleet_ids, limits):
            connection.execute(statement)
        given = {"login": login, "fleets": fleet_ids and sorted(set(fleet_ids)), "by": granted_by}
        connection.execute(_NOTE, given)
        return password

    return transact(postgres_url, work)


def revoke_login(postgres_url: str, login: str) -> None:
    """Ends a login and its sessions.

    Raises:
        WarehouseError: there is no such login, or the server refuses.
    """

    def work(connection: psycopg.Connection) -> None:
        if not _is_ours(connection, login):
            raise WarehouseError(f"There is no login {login}: see `fleet bi list`.")
        connection.execute(_do("alter role {} nologin", login))
        connection.execute(_END_SESSIONS, {"login": login})
        connection.execute(_do("drop role {}", login))
        connection.execute("delete from warehouse.bi_logins where login = %s", [login])

    transact(postgres_url, work)


def bi_logins(postgres_url: str) -> list[BiLogin]:
    """All logins, by name."""
    found = transact(postgres_url, lambda connection: connection.execute(_LIST).fetchall())
    return [BiLogin(row[0], None if row[1] is None else tuple(row[1]), *row[2:]) for row in found]


def _is_ours(connection: psycopg.Connection, login: str) -> bool:
    ours, there = connection.execute(_KNOWN, {"login": login}).fetchone() or (False, False)
    if there and not ours:
        raise WarehouseError(
            f"{login} is a role of this server that `fleet bi` has not made: choose another name."
        )
    return bool(there)


def _refuse_unknown_fleets(connection: psycopg.Connection, fleet_ids: Sequence[str] | None) -> None:
    if fleet_ids is None:
        return
    known = [fleet for (fleet,) in connection.execute(_FLEETS).fetchall()]
    unknown = sorted(set(fleet_ids) - set(known))
    if unknown:
        raise WarehouseError(
            f"No vehicle belongs to {', '.join(unknown)}; fleets there are:"
            f" {', '.join(known) or 'none yet'}."
        )


def _of_password(connection: psycopg.Connection, login: str, password: str) -> sql.Composed:
    """By its hash, so that the password itself stands in no log of the server."""
    hashed = connection.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256")
    words = sql.SQL("alter role {} password {}")
    return words.format(sql.Identifier(login), sql.Literal(hashed.decode()))


def _of_role(login: str, fleet_ids: Sequence[str] | None, limits: Limits) -> list[sql.Composed]:
    wanted, other = (ALL_FLEETS, SOME_FLEETS) if fleet_ids is None else (SOME_FLEETS, ALL_FLEETS)
    return [
        _do("revoke {1} from {0}", login, other),
        _do("grant {1} to {0}", login, wanted),
        _do("alter role {} set default_transaction_read_only = on", login),
        sql.SQL("alter role {} set statement_timeout = {}").format(
            sql.Identifier(login), sql.Literal(f"{limits.statement_timeout_s}s")
        ),
        sql.SQL("alter role {} set idle_in_transaction_session_timeout = {}").format(
            sql.Identifier(login), sql.Literal(IDLE_TIMEOUT)
        ),
        sql.SQL("alter role {} connection limit {}").format(
            sql.Identifier(login), sql.Literal(limits.connections)
        ),
    ]


def _do(words: Any, *names: str) -> sql.Composed:
    return sql.SQL(words).format(*map(sql.Identifier, names))


_KNOWN = """
select
    exists (select from warehouse.bi_logins where login = %(login)s),
    exists (select from pg_roles where rolname = %(login)s)
"""
_FLEETS = "select distinct fleet_id from warehouse.vehicles_history order by 1"
_NOTE = """
insert into warehouse.bi_logins (login, fleet_ids, granted_by)
values (%(login)s, %(fleets)s::text[], %(by)s)
on conflict (login) do update set
    fleet_ids = excluded.fleet_ids,
    granted_by = excluded.granted_by,
    granted_at = clock_timestamp()
"""
_END_SESSIONS = "select pg_terminate_backend(pid) from pg_stat_activity where usename = %(login)s"
_LIST = """
select
    known.login,
    known.fleet_ids,
    known.granted_by,
    known.granted_at,
    (
        select split_part(setting, '=', 2) from unnest(roles.rolconfig) as setting
        where starts_with(setting, 'statement_timeout=')
    ),
    roles.rolconnlimit,
    (select count(*) from pg_stat_activity where usename = known.login)
from warehouse.bi_logins as known
inner join pg_roles as roles on known.login = roles.rolname
order by known.login
"""
