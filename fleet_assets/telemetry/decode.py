"""Decoding placed messages into rows of telemetry.

Each row depends on its own bytes alone, so any batching gives the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb
import polars as pl

from fleet_assets.contracts.signals import OBJECTS, SIGNALS, Signal
from fleet_assets.contracts.tables import TELEMETRY
from fleet_assets.telemetry.engine import connect
from fleet_assets.telemetry.structure import Structure, judge, judge_outline

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
        _plan(db)
        db.execute(_flagged_sql())
        odd = db.execute(f"SELECT 1 FROM flagged WHERE {_ODD} LIMIT 1").fetchone() is not None
        if odd:
            db.execute(_originals_sql())
        table = db.sql(_rows_sql(odd)).to_arrow_table()
        deep = db.sql("SELECT i FROM exact WHERE structure IS NULL ORDER BY i").to_arrow_table()
    signals = pl.DataFrame(pl.from_arrow(table)).with_columns(pl.col("i").cast(pl.UInt32))
    keys = placed.select("event_hour", "vehicle_id", "event_time").with_row_index("i")
    if signals.height != keys.height:
        keys = keys.join(signals.select("i"), on="i", how="semi", maintain_order="left")
    rows = pl.concat([keys, signals.drop("i")], how="horizontal").with_columns(
        conflict=pl.lit(False)
    )
    rejects = pl.DataFrame(pl.from_arrow(deep)).select(
        pl.col("i").cast(pl.UInt32),
        reason=pl.lit(TOO_DEEP, dtype=pl.String),
        detail=pl.lit(_TOO_DEEP_DETAIL, dtype=pl.String),
    )
    return Decoded(rows.select("i", *TELEMETRY.names).cast(TELEMETRY.polars_schema), rejects)


def _load(db: duckdb.DuckDBPyConnection, placed: pl.DataFrame) -> None:
    """Table `texts`: each message with its outline, which is cheaper than its structure."""
    _register(db, "messages", placed.select("value").with_row_index("i"))
    db.execute(_texts_sql())


@lru_cache(maxsize=1)
def _texts_sql() -> str:
    pointers = ", ".join(
        f"'/{pointer}'" for pointer in (*("/".join(s.path) for s in SIGNALS), *OBJECTS)
    )
    objects = ", ".join(f"'/{name}'" for name in OBJECTS)
    kinds = ", ".join(
        f"CASE WHEN types[{SIGNALS.index(s) + 1}] = 'ARRAY'"
        f" THEN coalesce(try(json_structure(json_extract(text, '/{s.path[0]}'))), '') END"
        for s in SIGNALS
        if s.kind == "string_list"
    )
    return f"""
CREATE TEMP TABLE texts AS
SELECT *, hash(types, keys, lists) AS outline, from_json(text, '{_wire_shape()}') AS s FROM (
    SELECT *, [{kinds}] AS lists FROM (
        SELECT i, text, json_type(text, [{pointers}]) AS types,
            list_transform(json_keys(text, ['$', {objects}]), lambda k: len(k)) AS keys
        FROM (SELECT i, decode(value) AS text FROM messages)
    )
)
"""


def _plan(db: duckdb.DuckDBPyConnection) -> None:
    """Tables `outlines` and `structures`: what to do with the messages of each.

    An outline that says all is judged as it is. The few messages whose outline leaves a doubt
    (unknown or repeated keys, odd types) are judged by their whole structure, in `exact`.
    """
    outlines = db.execute(
        "SELECT outline, any_value(types), any_value(keys), any_value(lists) FROM texts GROUP BY 1"
    ).fetchall()
    judged = {
        outline: judge_outline(tuple(types), tuple(keys), tuple(lists))
        for outline, types, keys, lists in outlines
    }
    doubtful = [outline for outline, found in judged.items() if found is None]
    wanted = pl.DataFrame({"outline": pl.Series(doubtful, dtype=pl.UInt64)})
    _register(db, "doubtful", wanted)
    db.execute(
        "CREATE TEMP TABLE exact AS SELECT i, try(json_structure(text)) AS structure"
        " FROM texts SEMI JOIN doubtful USING (outline)"
    )
    found = db.execute("SELECT DISTINCT structure FROM exact WHERE structure IS NOT NULL")
    structures = [row[0] for row in found.fetchall()]
    sure = {outline: plan for outline, plan in judged.items() if plan is not None}
    _register(db, "outlines", _plans("outline", pl.UInt64(), sure))
    _register(db, "structures", _plans("structure", pl.String(), {s: judge(s) for s in structures}))


def _plans(by: str, dtype: pl.DataType, judged: Mapping[Any, Structure]) -> pl.DataFrame:
    found = judged.values()
    return pl.DataFrame(
        {
            by: pl.Series(list(judged), dtype=dtype),
            "null_signals": pl.Series(
                [list(j.null_signals) for j in found], dtype=pl.List(pl.String)
            ),
            "wrong": pl.Series([j.wrong for j in found], dtype=pl.Int64),
            "extra_patch": pl.Series([j.extra_patch for j in found], dtype=pl.String),
        }
    )


def _register(db: duckdb.DuckDBPyConnection, name: str, rows: pl.DataFrame) -> None:
    db.register(name, rows.to_arrow(compat_level=pl.CompatLevel.oldest()))


_ODD = "(bad <> 0 OR inexact <> 0 OR extra_patch IS NOT NULL)"


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
WITH planned AS (
    SELECT i, s, null_signals, wrong, extra_patch FROM texts JOIN outlines USING (outline)
    UNION ALL
    SELECT i, s, null_signals, wrong, extra_patch
    FROM exact JOIN structures USING (structure) JOIN texts USING (i)
),
typed AS (SELECT *, {values} FROM planned)
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
    FROM flagged JOIN texts USING (i) WHERE {_ODD}
)
"""


@lru_cache(maxsize=2)
def _rows_sql(odd: bool) -> str:
    """The rows in the messages' order; without odd ones there is no original to look up."""
    notes = ("invalid_values", "inexact_values", "extra")
    said = ", ".join(f"o.{n}" if odd else f"CAST(NULL AS VARCHAR) AS {n}" for n in notes)
    originals = "LEFT JOIN originals AS o ON f.i = o.i" if odd else ""
    return f"""
SELECT f.i, {", ".join(s.name for s in SIGNALS)}, f.null_signals, {said}
FROM flagged AS f {originals} ORDER BY f.i
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
