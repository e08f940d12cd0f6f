"""Decoding placed messages into rows of telemetry.

Each row depends on its own bytes alone, so any batching gives the same rows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb
import polars as pl

from fleet_assets.contracts.signals import SIGNALS, Signal
from fleet_assets.contracts.tables import TELEMETRY
from fleet_assets.telemetry.engine import connect
from fleet_assets.telemetry.structure import Structure, judge

TOO_DEEP = "invalid_json"
_TOO_DEEP_DETAIL = "nested deeper than 128 levels"


@dataclass(frozen=True)
class Decoded:
    """Decoded messages; `i` is the index of the message in the input.

    Attributes:
        rows: `i` and the columns of `telemetry` (with `conflict` false).
        rejects: `i`, `reason`, `detail` of messages that cannot be decoded.
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame


def decode(placed: pl.DataFrame) -> Decoded:
    """Decodes messages that landing has accepted.

    Args:
        placed: columns `event_hour`, `vehicle_id`, `event_time`, `value`; every value is a JSON
            object in UTF-8.

    Returns:
        One row or one reject per message.
    """
    with connect() as db:
        _load(db, placed)
        _judge_structures(db)
        db.execute(_flagged_sql())
        if db.execute(f"SELECT 1 FROM flagged WHERE {_ODD} LIMIT 1").fetchone() is None:
            db.execute(_NO_ORIGINALS)
        else:
            db.execute(_originals_sql())
        table = db.sql(_rows_sql()).to_arrow_table()
        deep = db.sql("SELECT i FROM texts WHERE structure IS NULL ORDER BY i").to_arrow_table()
    signals = pl.DataFrame(pl.from_arrow(table)).with_columns(pl.col("i").cast(pl.UInt32))
    keys = placed.select("event_hour", "vehicle_id", "event_time").with_row_index("i")
    rows = keys.join(signals, on="i", how="inner", maintain_order="left").with_columns(
        conflict=pl.lit(False)
    )
    rejects = pl.DataFrame(pl.from_arrow(deep)).select(
        pl.col("i").cast(pl.UInt32),
        reason=pl.lit(TOO_DEEP, dtype=pl.String),
        detail=pl.lit(_TOO_DEEP_DETAIL, dtype=pl.String),
    )
    return Decoded(rows.select("i", *TELEMETRY.names).cast(TELEMETRY.polars_schema), rejects)


def _load(db: duckdb.DuckDBPyConnection, placed: pl.DataFrame) -> None:
    messages = placed.select("value").with_row_index("i")
    db.register("messages", messages.to_arrow(compat_level=pl.CompatLevel.oldest()))
    db.execute(
        "CREATE TEMP TABLE texts AS SELECT i, text, try(json_structure(text)) AS structure "
        "FROM (SELECT i, decode(value) AS text FROM messages)"
    )


def _judge_structures(db: duckdb.DuckDBPyConnection) -> None:
    found = db.execute("SELECT DISTINCT structure FROM texts WHERE structure IS NOT NULL")
    names = [row[0] for row in found.fetchall()]
    judged: list[Structure] = [judge(name) for name in names]
    plans = pl.DataFrame(
        {
            "structure": pl.Series(names, dtype=pl.String),
            "null_signals": pl.Series(
                [list(j.null_signals) for j in judged], dtype=pl.List(pl.String)
            ),
            "wrong": pl.Series([j.wrong for j in judged], dtype=pl.Int64),
            "extra_patch": pl.Series([j.extra_patch for j in judged], dtype=pl.String),
        }
    )
    db.register("plans", plans.to_arrow(compat_level=pl.CompatLevel.oldest()))


_ODD = "(bad <> 0 OR inexact <> 0 OR extra_patch IS NOT NULL)"
_NO_ORIGINALS = """
CREATE TEMP TABLE originals (
    i UINTEGER, invalid_values VARCHAR, inexact_values VARCHAR, extra VARCHAR
)
"""


@lru_cache(maxsize=1)
def _flagged_sql() -> str:
    """The statement that types all signals and flags the values that do not fit."""
    values = ",\n".join(f"{_value(bit, s)} AS {s.name}" for bit, s in enumerate(SIGNALS))
    bad = " | ".join(f"(CASE WHEN {_is_bad(s)} THEN {1 << b} ELSE 0 END)" for b, s in _bits())
    inexact = " | ".join(
        f"(CASE WHEN {s.name} IS NOT NULL AND CAST({s.name} AS DOUBLE) <> {_read(s)}"
        f" THEN {1 << b} ELSE 0 END)"
        for b, s in _bits()
        if s.kind == "number"
    )
    return f"""
CREATE TEMP TABLE flagged AS
WITH wire AS (
    SELECT i, text, null_signals, wrong, extra_patch, from_json(text, '{_wire_shape()}') AS s
    FROM texts JOIN plans USING (structure)
),
typed AS (SELECT *, {values} FROM wire)
SELECT * EXCLUDE (s), wrong | {bad} AS bad, {inexact} AS inexact FROM typed
"""


@lru_cache(maxsize=1)
def _originals_sql() -> str:
    """The statement that keeps the original text of what does not fit the columns."""
    pointers = ["/" + "/".join(s.path) for s in SIGNALS] + [f"/{s.path[0]}" for s in SIGNALS]
    listed = ", ".join(f"'{pointer}'" for pointer in pointers)
    return f"""
CREATE TEMP TABLE originals AS
SELECT i, {_note("bad")} AS invalid_values, {_note("inexact")} AS inexact_values,
    CASE WHEN extra_patch IS NOT NULL
        THEN CAST(json_merge_patch(text, extra_patch) AS VARCHAR) END AS extra
FROM (
    SELECT i, text, bad, inexact, wrong, extra_patch, json_extract(text, [{listed}]) AS o
    FROM flagged WHERE {_ODD}
)
"""


@lru_cache(maxsize=1)
def _rows_sql() -> str:
    return f"""
SELECT f.i, {", ".join(s.name for s in SIGNALS)},
    f.null_signals, o.invalid_values, o.inexact_values, o.extra
FROM flagged AS f LEFT JOIN originals AS o ON f.i = o.i ORDER BY f.i
"""


def _bits() -> list[tuple[int, Signal]]:
    return list(enumerate(SIGNALS))


def _wire_shape() -> str:
    types = {
        "number": "DOUBLE",
        "boolean": "BOOLEAN",
        "string": "VARCHAR",
        "string_list": ["VARCHAR"],
    }
    shape: dict[str, Any] = {}
    for signal in SIGNALS:
        inside = shape
        for key in signal.path[:-1]:
            inside = inside.setdefault(key, {})
        inside[signal.path[-1]] = types[signal.kind]
    return json.dumps(shape)


def _read(signal: Signal) -> str:
    return "s." + ".".join(f'"{key}"' for key in signal.path)


def _is_good(signal: Signal) -> str:
    """SQL condition on a value that is there: it lies within what the contract allows."""
    value = _read(signal)
    match signal.kind:
        case "number":
            return f"{value} BETWEEN {signal.minimum} AND {signal.maximum}"
        case "string":
            return f"regexp_matches({value}, '{signal.pattern}')"
        case "string_list":
            return (
                f"len(list_filter({value}, lambda c: c IS NULL"
                f" OR NOT regexp_matches(c, '{signal.pattern}'))) = 0"
            )
        case "boolean":
            return "true"


def _is_bad(signal: Signal) -> str:
    return f"{_read(signal)} IS NOT NULL AND NOT ({_is_good(signal)})"


def _value(bit: int, signal: Signal) -> str:
    value = _read(signal)
    if signal.kind == "number":
        value = f"TRY_CAST({value} AS DECIMAL({signal.precision}, {signal.scale}))"
    return f"CASE WHEN wrong & {1 << bit} = 0 AND {_is_good(signal)} THEN {value} END"


def _note(mask: str) -> str:
    """SQL for a JSON object of the original values whose bit is set in the mask."""
    parts = []
    for bit, signal in enumerate(SIGNALS):
        original = f"CAST(coalesce(o[{bit + 1}], o[{len(SIGNALS) + bit + 1}]) AS VARCHAR)"
        quoted = (
            f"CASE WHEN regexp_matches({original}, '^-?[A-Za-z]+$')"
            f" AND {original} NOT IN ('true', 'false', 'null')"
            f" THEN '\"' || {original} || '\"' ELSE {original} END"
        )
        if mask == "bad":
            reason = (
                f"CASE WHEN wrong & {1 << bit} <> 0 THEN 'wrong_type'"
                f" WHEN regexp_matches({original}, '^-?[A-Za-z]+$') THEN 'not_finite'"
                " ELSE 'out_of_bounds' END"
            )
            body = f"'{{\"value\":' || {quoted} || ',\"reason\":\"' || {reason} || '\"}}'"
        else:
            body = original
        parts.append(f"CASE WHEN {mask} & {1 << bit} <> 0 THEN '\"{signal.name}\":' || {body} END")
    return f"CASE WHEN {mask} <> 0 THEN '{{' || concat_ws(',', {', '.join(parts)}) || '}}' END"
