"""What differs between rows that are stored and the same rows made anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

RELATIVE_TOLERANCE: Final = 1e-9
"""Of floating-point numbers: their last digits depend on the order in which a sum is added up."""
SAMPLE: Final = 5


@dataclass(frozen=True)
class Difference:
    """What differs in one hour, or day, of one table.

    Attributes:
        table: of the lake by its name, otherwise with its schema.
        key: the hour or day.
        missing: rows that a rebuild gives and that are not stored.
        extra: rows that are stored and that a rebuild does not give.
        changed: rows whose key is in both and that differ.
        sample: a few of them, in words.
    """

    table: str
    key: str
    missing: int
    extra: int
    changed: int
    sample: tuple[str, ...]

    def __str__(self) -> str:
        counts = f"missing {self.missing:,}, extra {self.extra:,}, changed {self.changed:,}"
        return f"{self.table} {self.key}: {counts}; {'; '.join(self.sample)}"


def difference(
    table: str, key: str, stored: pl.DataFrame, made: pl.DataFrame, by: Sequence[str]
) -> Difference | None:
    """Compares rows of one hour or day; None: they agree.

    Args:
        table: name of the table.
        key: the hour or day.
        stored: rows as they are.
        made: the same columns, made anew.
        by: columns that name a row; none: whole rows are counted.
    """
    stored, made = _alike(stored, made)
    names = list(by)
    if not names:
        names = stored.columns
        stored, made = _counted(stored), _counted(made)
    missing = made.join(stored, on=names, how="anti", nulls_equal=True)
    extra = stored.join(made, on=names, how="anti", nulls_equal=True)
    both = stored.join(made, on=names, how="inner", nulls_equal=True, suffix=_MADE)
    others = [name for name in stored.columns if name not in names]
    unequal = [_differs(name, stored.schema[name]).alias(f"{name}{_UNEQUAL}") for name in others]
    marked = both.with_columns(unequal)
    changed = marked.filter(pl.any_horizontal(pl.lit(value=False), *(
        pl.col(f"{name}{_UNEQUAL}") for name in others
    )))  # fmt: skip
    if missing.is_empty() and extra.is_empty() and changed.is_empty():
        return None
    told = [
        *(f"missing {_named(row, names)}" for row in missing.head(SAMPLE).to_dicts()),
        *(f"extra {_named(row, names)}" for row in extra.head(SAMPLE).to_dicts()),
        *(_changes(row, names, others) for row in changed.head(SAMPLE).to_dicts()),
    ]
    return Difference(
        table, key, missing.height, extra.height, changed.height, tuple(told[:SAMPLE])
    )


_MADE: Final = "__made"
_UNEQUAL: Final = "__unequal"
_TIMES: Final = "times"
_LONGEST: Final = 60


def _alike(stored: pl.DataFrame, made: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Of the same types: a column without a value may have none."""
    kinds = {
        name: made.schema[name] if kind == pl.Null or stored.is_empty() else kind
        for name, kind in stored.schema.items()
    }
    names = list(kinds)
    return stored.select(names).cast(kinds), made.select(names).cast(kinds)  # type: ignore[arg-type]


def _counted(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by(rows.columns).agg(pl.len().alias(_TIMES))


def _differs(name: str, kind: pl.DataType) -> pl.Expr:
    stored, made = pl.col(name), pl.col(f"{name}{_MADE}")
    unequal = stored.ne_missing(made)
    if not kind.is_float():
        return unequal
    size = pl.max_horizontal(stored.abs(), made.abs())
    near = ((stored - made).abs() <= size * RELATIVE_TOLERANCE).fill_null(value=False)
    return unequal & ~near


def _named(row: dict[str, object], names: Sequence[str]) -> str:
    return ", ".join(str(row[name])[:_LONGEST] for name in names)


def _changes(row: dict[str, object], names: Sequence[str], others: Sequence[str]) -> str:
    parts = [
        f"{name} {row[name]} in place of {row[name + _MADE]}"[: 2 * _LONGEST]
        for name in others
        if row[name + _UNEQUAL]
    ]
    return f"{_named(row, names)}: {', '.join(parts[:3])}"
