"""The statements of decoding, made from the registry of signals.

They work on the tables `messages` (`i`, `value`), `texts`, `exact`, and on plans by outline and by
structure: see `decode`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from fleet_assets.contracts.signals import OBJECTS, SIGNALS, Signal


@lru_cache(maxsize=1)
def _outline_sql() -> str:
    """Expressions of an outline, which is cheaper than a structure; see `judge_outline`."""
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
SELECT i, text, types, keys, [{kinds}] AS lists FROM (
    SELECT i, text, json_type(text, [{pointers}]) AS types,
        list_transform(json_keys(text, ['$', {objects}]), lambda k: len(k)) AS keys
    FROM told
)
"""


@lru_cache(maxsize=1)
def texts_sql() -> str:
    """Table `texts`: each message with a hash of its outline; the outline itself is large."""
    return f"""
CREATE TEMP TABLE texts AS
WITH told AS (SELECT i, decode(value) AS text FROM messages)
SELECT i, text, hash(types, keys, lists) AS outline FROM ({_outline_sql()})
"""


@lru_cache(maxsize=1)
def outlines_sql() -> str:
    """The outline of one message for each hash."""
    return f"""
WITH told AS (
    SELECT i, text FROM texts SEMI JOIN (SELECT min(i) AS i FROM texts GROUP BY outline) USING (i)
)
SELECT outline, types, keys, lists FROM ({_outline_sql()}) JOIN texts USING (i)
"""


@lru_cache(maxsize=1_000)
def values_sql(held: int, wrong: int) -> str:
    """The statement that types the signals and flags the values that do not fit.

    Args:
        held: signals of which some message has a value; the columns of all others are empty.
        wrong: signals of which some message has a value of a wrong type.
    """
    bits = [(bit, signal) for bit, signal in enumerate(SIGNALS) if held & 1 << bit]
    values = ", ".join(f"{_value(s, b if wrong & 1 << b else None)} AS {s.name}" for b, s in bits)
    bad = [f"(CASE WHEN {_is_bad(s)} THEN {1 << b} ELSE 0 END)" for b, s in bits]
    inexact = [
        f"(CASE WHEN {s.name} IS NOT NULL AND CAST({s.name} AS DOUBLE) <> {_read(s)}"
        f" THEN {1 << b} ELSE 0 END)"
        for b, s in bits
        if s.kind == "number"
    ]
    shape = wire_shape(signal for _, signal in bits)
    parsed = f"from_json(text, '{shape}')" if bits else "NULL"
    return f"""
WITH planned AS (
    SELECT i, text, plan, wrong FROM texts JOIN outlines USING (outline)
    UNION ALL
    SELECT i, text, plan, wrong FROM exact JOIN structures USING (structure) JOIN texts USING (i)
),
parsed AS (SELECT i, plan, wrong, {parsed} AS s FROM planned),
typed AS (SELECT {", ".join(["*", values] if bits else ["*"])} FROM parsed)
SELECT * EXCLUDE (s, wrong), {" | ".join(["wrong", *bad])} AS bad,
    {" | ".join(["0", *inexact])} AS inexact
FROM typed
"""


@lru_cache(maxsize=1)
def originals_sql() -> str:
    """The original text of what is in `flagged`: what does not fit the columns, or is unknown."""
    pointers = ["/" + "/".join(s.path) for s in SIGNALS] + [f"/{s.path[0]}" for s in SIGNALS]
    listed = ", ".join(f"'{pointer}'" for pointer in pointers)
    return f"""
SELECT i, {_note("bad")} AS invalid_values, {_note("inexact")} AS inexact_values,
    CASE WHEN extra_patch IS NOT NULL
        THEN CAST(json_merge_patch(text, extra_patch) AS VARCHAR) END AS extra
FROM (
    SELECT i, text, bad, inexact, wrong, extra_patch, json_extract(text, [{listed}]) AS o
    FROM flagged JOIN texts USING (i)
)
"""


def wire_shape(signals: Iterable[Signal] = SIGNALS) -> str:
    """The argument of DuckDB's ``from_json`` that reads these signals."""
    types = {
        "number": "DOUBLE",
        "boolean": "BOOLEAN",
        "string": "VARCHAR",
        "string_list": ["VARCHAR"],
    }
    shape: dict[str, Any] = {}
    for signal in signals:
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


def _value(signal: Signal, wrong_bit: int | None) -> str:
    value = _read(signal)
    if signal.kind == "number":
        value = f"TRY_CAST({value} AS DECIMAL({signal.precision}, {signal.scale}))"
    right = "" if wrong_bit is None else f"wrong & {1 << wrong_bit} = 0 AND "
    return f"CASE WHEN {right}{_is_good(signal)} THEN {value} END"


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
