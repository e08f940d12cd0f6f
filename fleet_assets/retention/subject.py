"""Who is to be forgotten, and how he is recognised in rows and in bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Final, Literal

import polars as pl

from fleet_assets.contracts.table import Table

Kind = Literal["vehicle", "driver"]
ERASED: Final = "(erased)"
"""Stands for a vehicle in the counts that stay."""
_TEXTS: Final = ("invalid_values", "inexact_values", "extra", "detail", "reject_detail")
"""Columns that may quote what a message said."""


@dataclass(frozen=True)
class Subject:
    """One vehicle or one driver."""

    kind: Kind
    id: str

    @property
    def column(self) -> str:
        """The column that names him."""
        return f"{self.kind}_id"

    def in_rows(self, contract: Table) -> pl.Expr | None:
        """Which rows of a table are about him; None: none can be."""
        names = set(contract.names)
        found = []
        if self.column in names:
            found.append(pl.col(self.column) == self.id)
        if "value" in names and self.kind == "vehicle":  # messages as they came
            unread = pl.col("vehicle_id").is_null() & self._in_bytes(pl.col("value"))
            found += [unread, pl.col("key") == pl.lit(self.id.encode())]
        elif "value" in names:
            named = pl.col("value").bin.contains(b'"driver_id"')
            found.append(named & self._in_bytes(pl.col("value")))
        elif self.kind == "driver" and "driver_id" in names:
            found += [self._in_text(pl.col(name)) for name in _TEXTS if name in names]
        if not found:
            return None
        return pl.any_horizontal(*(it.fill_null(value=False) for it in found))

    def in_texts(self, schema: Mapping[str, pl.DataType]) -> pl.Expr:
        """Which rows of any table quote him, or name him in a column."""
        texts = [name for name, kind in schema.items() if kind == pl.String]
        conditions = [(pl.col(n) == self.id) | self._in_text(pl.col(n)) for n in texts]
        return pl.any_horizontal(
            pl.lit(value=False), *(it.fill_null(value=False) for it in conditions)
        )

    @property
    def quoted(self) -> tuple[str, ...]:
        """His id as a text in JSON may hold it."""
        return tuple(
            dict.fromkeys(
                json.dumps(self.id, ensure_ascii=ascii_only) for ascii_only in (True, False)
            )
        )

    def _in_bytes(self, column: pl.Expr) -> pl.Expr:
        return _any([column.bin.contains(form.encode()) for form in self.quoted])

    def _in_text(self, column: pl.Expr) -> pl.Expr:
        return _any([column.str.contains(form, literal=True) for form in self.quoted])


def without_driver(rows: pl.DataFrame, subject: Subject) -> pl.DataFrame:
    """Rows about a driver without him: what the vehicle did stays.

    Args:
        rows: rows with `driver_id`, all of them about him.
        subject: the driver.
    """
    texts = [name for name in _TEXTS if name in rows.columns]
    return rows.with_columns(
        pl.lit(None, dtype=rows.schema["driver_id"]).alias("driver_id"),
        *(
            pl.when(~subject._in_text(pl.col(name)).fill_null(value=False))
            .then(pl.col(name))
            .alias(name)
            for name in texts
        ),
    )


def _any(conditions: list[pl.Expr]) -> pl.Expr:
    return reduce(lambda a, b: a | b, conditions)
