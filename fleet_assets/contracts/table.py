"""The form of a table contract, and the types and checks that are made from one."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
import pyarrow as arrow

if TYPE_CHECKING:
    import pandera.polars as pa  # takes long to import, and who only reads needs no checks

Layer = Literal["bronze", "silver", "gold", "accounting"]

UTC_MICROSECONDS = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Column:
    """One column: type, meaning and the checks every row must pass.

    Attributes:
        minimum: lowest allowed value, inclusive; None: no bound.
        maximum: highest allowed value, inclusive; None: no bound.
        pattern: regular expression for text.
        allowed: closed list of values for text.
        default: what a column that may not be null holds in rows older than the column. A column
            that is added to a table that exists needs one, unless it is nullable.
    """

    name: str
    dtype: pl.DataType
    description: str
    unit: str | None = None
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    allowed: tuple[str, ...] | None = None
    default: int | float | bool | str | None = None

    def checks(self) -> list[pa.Check]:
        """Pandera checks of one column."""
        import pandera.polars as pa

        found: list[pa.Check] = []
        if self.minimum is not None and self.maximum is not None:
            bounds = self._typed(self.minimum), self._typed(self.maximum)
            found.append(pa.Check.in_range(*bounds))
        elif self.minimum is not None:
            found.append(pa.Check.ge(self._typed(self.minimum)))
        elif self.maximum is not None:
            found.append(pa.Check.le(self._typed(self.maximum)))
        if self.pattern is not None:
            found.append(pa.Check.str_matches(self.pattern))
        if self.allowed is not None:
            found.append(pa.Check.isin(list(self.allowed)))
        return found

    def _typed(self, bound: float) -> Any:
        return Decimal(str(bound)) if self.dtype.is_decimal() else bound


@dataclass(frozen=True)
class Table:
    """One table of the lake: what a row is, its columns, its key and its partition column."""

    name: str
    layer: Layer
    grain: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition_by: str | None = "event_hour"

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]

    @property
    def defaults(self) -> dict[str, int | float | bool | str]:
        """Column → what rows hold that are older than the column; only where it is not null."""
        return {c.name: c.default for c in self.columns if c.default is not None}

    @cached_property
    def polars_schema(self) -> pl.Schema:
        """Types for Polars."""
        return pl.Schema({column.name: column.dtype for column in self.columns})

    @cached_property
    def arrow_schema(self) -> arrow.Schema:
        """Types for Arrow, with string and binary in their 32-bit forms, as Delta stores them."""
        table = pl.DataFrame(schema=self.polars_schema).to_arrow(
            compat_level=pl.CompatLevel.oldest()
        )
        nullable = {column.name: column.nullable for column in self.columns}
        fields = [
            _small_offsets(field).with_nullable(nullable[field.name]) for field in table.schema
        ]
        return arrow.schema(fields)

    def pandera_schema(self) -> pa.DataFrameSchema:
        """Checks of the values of an eager frame (on a LazyFrame Pandera skips them).

        Names and types are compared with `polars_schema` beforehand; a column that may hold
        anything of its type costs no time here. The key is checked elsewhere: Pandera would write
        the rows that repeat one as JSON, and Polars panics on binary columns there.
        """
        import pandera.polars as pa

        checked = [column for column in self.columns if column.checks() or not column.nullable]
        return pa.DataFrameSchema(
            {
                column.name: pa.Column(
                    column.dtype, checks=column.checks(), nullable=column.nullable
                )
                for column in checked
            },
            name=self.name,
        )


def _small_offsets(field: arrow.Field) -> arrow.Field:
    if arrow.types.is_large_string(field.type):
        return field.with_type(arrow.string())
    if arrow.types.is_large_binary(field.type):
        return field.with_type(arrow.binary())
    if arrow.types.is_large_list(field.type):
        return field.with_type(arrow.list_(_small_offsets(field.type.value_field)))
    return field
