"""Decoding placed messages into rows of telemetry.

Each row depends on its own bytes alone, so any batching gives the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import duckdb
import polars as pl

from fleet_assets.contracts.signals import SIGNALS
from fleet_assets.contracts.tables import TELEMETRY
from fleet_assets.telemetry.decode_sql import originals_sql, outlines_sql, texts_sql, values_sql
from fleet_assets.telemetry.engine import connect
from fleet_assets.telemetry.structure import Structure, judge, judge_outline

TOO_DEEP = "invalid_json"
_TOO_DEEP_DETAIL = "nested deeper than 128 levels"
_NOTES = ("invalid_values", "inexact_values", "extra")


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
        _register(db, "messages", placed.select("value").with_row_index("i"))
        db.execute(texts_sql())
        plans = _plan(db)
        found = _frame(db.sql(values_sql(_any(plans["held"]), _any(plans["wrong"]))))
        found = found.with_columns(pl.col("i").cast(pl.UInt32))
        notes = _originals(db, found, plans)
        deep = _frame(db.sql("SELECT i FROM exact WHERE structure IS NULL ORDER BY i"))
    found = found if found["i"].is_sorted() else found.sort("i")
    if notes is None:
        found = found.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in _NOTES)
    else:
        found = found.join(notes, on="i", how="left", maintain_order="left")
    keys = placed.select("event_hour", "vehicle_id", "event_time").with_row_index("i")
    if found.height != keys.height:
        keys = keys.join(found.select("i"), on="i", how="semi", maintain_order="left")
    rows = pl.concat([keys, found.drop("i")], how="horizontal").with_columns(
        null_signals=plans["null_signals"].gather(found["plan"]),
        conflict=pl.lit(False),
        **{name: pl.lit(None) for name in (s.name for s in SIGNALS) if name not in found.columns},
    )
    rejects = deep.select(
        pl.col("i").cast(pl.UInt32),
        reason=pl.lit(TOO_DEEP, dtype=pl.String),
        detail=pl.lit(_TOO_DEEP_DETAIL, dtype=pl.String),
    )
    return Decoded(rows.select("i", *TELEMETRY.names).cast(TELEMETRY.polars_schema), rejects)


def _plan(db: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """What to do with the messages, by number of the plan; tables that lead to the numbers.

    An outline that says all is judged as it is. The few messages whose outline leaves a doubt
    (unknown or repeated keys, odd types) are judged by their whole structure, in `exact`.
    """
    judged = {
        outline: judge_outline(tuple(types), tuple(keys), tuple(lists))
        for outline, types, keys, lists in db.execute(outlines_sql()).fetchall()
    }
    doubtful = [outline for outline, found in judged.items() if found is None]
    wanted = pl.DataFrame({"outline": pl.Series(doubtful, dtype=pl.UInt64)})
    _register(db, "doubtful", wanted)
    db.execute(
        "CREATE TEMP TABLE exact AS SELECT i, try(json_structure(text)) AS structure"
        " FROM texts SEMI JOIN doubtful USING (outline)"
    )
    found = db.execute("SELECT DISTINCT structure FROM exact WHERE structure IS NOT NULL")
    sure = {outline: plan for outline, plan in judged.items() if plan is not None}
    exact = {row[0]: judge(row[0]) for row in found.fetchall()}
    _register(db, "outlines", _numbered("outline", pl.UInt64(), sure, 0))
    _register(db, "structures", _numbered("structure", pl.String(), exact, len(sure)))
    return _plans([*sure.values(), *exact.values()])


def _numbered(
    by: str, dtype: pl.DataType, judged: Mapping[Any, Structure], first: int
) -> pl.DataFrame:
    """Plans by their key: the number, and what the statement needs of it."""
    return pl.DataFrame(
        {
            by: pl.Series(list(judged), dtype=dtype),
            "plan": pl.Series(range(first, first + len(judged)), dtype=pl.UInt32),
            "wrong": pl.Series([plan.wrong for plan in judged.values()], dtype=pl.Int64),
        }
    )


def _plans(judged: Sequence[Structure]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "plan": pl.Series(range(len(judged)), dtype=pl.UInt32),
            "null_signals": pl.Series(
                [list(j.null_signals) for j in judged], dtype=pl.List(pl.String)
            ),
            "wrong": pl.Series([j.wrong for j in judged], dtype=pl.Int64),
            "held": pl.Series([j.held for j in judged], dtype=pl.Int64),
            "extra_patch": pl.Series([j.extra_patch for j in judged], dtype=pl.String),
        }
    )


def _register(db: duckdb.DuckDBPyConnection, name: str, rows: pl.DataFrame) -> None:
    db.register(name, rows.to_arrow(compat_level=pl.CompatLevel.oldest()))


def _frame(found: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(found.to_arrow_table()))


def _any(masks: pl.Series) -> int:
    return reduce(or_, masks, 0)


def _originals(
    db: duckdb.DuckDBPyConnection, found: pl.DataFrame, plans: pl.DataFrame
) -> pl.DataFrame | None:
    """The original text of what does not fit the columns; None: all fits."""
    extra = plans.filter(pl.col("extra_patch").is_not_null())["plan"]
    odd = (pl.col("bad") != 0) | (pl.col("inexact") != 0) | pl.col("plan").is_in(extra.implode())
    flagged = found.select("i", "plan", "bad", "inexact").filter(odd)
    if flagged.is_empty():
        return None
    _register(db, "flagged", flagged.join(plans.drop("null_signals"), on="plan"))
    return _frame(db.sql(originals_sql())).with_columns(pl.col("i").cast(pl.UInt32))
