"""Which statements `fleet sql` takes: one, that reads."""

from __future__ import annotations

import re
from typing import Final

import duckdb

from fleet_assets.errors import FleetError

_ALLOWED: Final = "one SELECT, WITH, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN statement"
_EXPLAIN: Final = re.compile(r"(?is)^\s*explain\s+(?:analyze\s+)?(?:\([^)]*\)\s*)?(.*)$")
_COMMENTS: Final = re.compile(r"(?s)\A(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)+")


def one_reading_statement(db: duckdb.DuckDBPyConnection, query: str) -> str:
    """The statement without its semicolon, if it can only read.

    Raises:
        FleetError: there is another number of statements than one, or it does more than read.
        duckdb.Error: it cannot be parsed.
    """
    text = _COMMENTS.sub("", query)
    statements = db.extract_statements(text)
    if len(statements) != 1:
        raise FleetError(f"{len(statements)} statements given: fleet sql takes {_ALLOWED}.")
    kind = statements[0].type
    if kind == duckdb.StatementType.EXPLAIN:
        inner = db.extract_statements(explained(text))
        reads = len(inner) == 1 and inner[0].type == duckdb.StatementType.SELECT
    else:
        reads = kind == duckdb.StatementType.SELECT
    if not reads:
        raise FleetError(
            f"{text.split(maxsplit=1)[0].upper()} is refused: the lake is read-only here, "
            f"fleet sql takes {_ALLOWED}."
        )
    head, semicolon, tail = text.rpartition(";")
    return head if semicolon and _is_nothing(db, tail) else text


def explained(statement: str) -> str:
    """What EXPLAIN stands before; any other statement as it is."""
    found = _EXPLAIN.match(statement)
    return found[1] if found else statement


def _is_nothing(db: duckdb.DuckDBPyConnection, text: str) -> bool:
    try:
        return not db.extract_statements(text)
    except duckdb.Error:
        return False
