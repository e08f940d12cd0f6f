"""The data dictionary as Markdown, made from the registries: what each value means.

`docs/data-dictionary.md` is its output; a test fails where the two differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import polars as pl

from fleet_assets.contracts.reasons import REJECT_REASONS
from fleet_assets.contracts.signals import SIGNALS, Signal
from fleet_assets.contracts.table import Column, Table
from fleet_assets.contracts.tables import TABLES

REGENERATE: Final = "fleet contracts dictionary --output docs/data-dictionary.md"


def data_dictionary() -> str:
    """The whole dictionary: signals, reject reasons, tables."""
    return "\n".join(
        [
            "# Data dictionary",
            "",
            f"Made from `fleet_assets/contracts` by `{REGENERATE}`; do not edit by hand.",
            "",
            "## Signals",
            "",
            "Values of a message on `vehicle-telemetry`, which also has `vehicle_id` and "
            "`timestamp` (ISO 8601 with a time zone, or epoch milliseconds). All are optional: an "
            "absent one is a sensor that is not fitted, null is a sensor that failed. Bounds are "
            "hard: a value outside costs that value, not the message, and its original stays in "
            "`invalid_values`.",
            "",
            *_rows(
                (
                    "On the wire",
                    "Column",
                    "Type",
                    "Unit",
                    "Bounds",
                    "Bounds from",
                    "VSS",
                    "Meaning",
                ),
                map(_signal, SIGNALS),
            ),
            "",
            "## Reject reasons",
            "",
            "A rejected message is kept in `telemetry_rejects` with all its bytes. The first "
            "reason that applies counts.",
            "",
            *_rows(
                ("Reason", "Meaning"),
                ((f"`{code}`", text) for code, text in REJECT_REASONS.items()),
            ),
            "",
            "## Tables",
            "",
            *(line for table in TABLES for line in _table(table)),
        ]
    )


def _signal(signal: Signal) -> Sequence[str]:
    return (
        f"`{signal.wire_name}`",
        f"`{signal.name}`",
        type_name(signal.dtype),
        signal.unit or "",
        _signal_bounds(signal),
        signal.source,
        "" if signal.vss == "none" else f"`{signal.vss}`",
        signal.description,
    )


def _signal_bounds(signal: Signal) -> str:
    if signal.kind == "number":
        return f"{_number(signal.minimum)} … {_number(signal.maximum)}"
    return f"`{signal.pattern}`" if signal.pattern else ""


def _table(table: Table) -> list[str]:
    partition = f"`{table.partition_by}`" if table.partition_by else "not partitioned"
    return [
        f"### `{table.name}`",
        "",
        table.description,
        "",
        f"- Layer: {table.layer}",
        f"- One row: {table.grain}",
        f"- Key: {', '.join(f'`{name}`' for name in table.key)}",
        f"- Partition: {partition}",
        "",
        *_rows(
            ("Column", "Type", "Unit", "Null", "Bounds", "Meaning"), map(_column, table.columns)
        ),
        "",
    ]


def _column(column: Column) -> Sequence[str]:
    return (
        f"`{column.name}`",
        type_name(column.dtype),
        column.unit or "",
        "yes" if column.nullable else "no",
        _column_bounds(column),
        column.description,
    )


def _column_bounds(column: Column) -> str:
    if column.allowed is not None:
        return "a reject reason" if column.allowed == tuple(REJECT_REASONS) else " ".join(
            f"`{value}`" for value in column.allowed
        )  # fmt: skip
    if column.pattern is not None:
        return f"`{column.pattern}`"
    low, high = column.minimum, column.maximum
    if low is not None and high is not None:
        return f"{_number(low)} … {_number(high)}"
    if low is not None:
        return f"≥ {_number(low)}"
    return "" if high is None else f"≤ {_number(high)}"


def type_name(dtype: pl.DataType) -> str:
    """Name of a type for people."""
    match dtype:
        case pl.Decimal():
            return f"decimal({dtype.precision}, {dtype.scale})"
        case pl.List():
            return f"list of {type_name(pl.Series(dtype=dtype.inner).dtype)}"
        case pl.Struct():
            return "struct of " + ", ".join(field.name for field in dtype.fields)
        case pl.Datetime():
            return "timestamp, UTC, µs"
    names = {
        pl.String(): "text", pl.Boolean(): "boolean", pl.Binary(): "bytes",
        pl.Int32(): "int32", pl.Int64(): "int64", pl.Float64(): "double",
    }  # fmt: skip
    return names[dtype]


def _number(value: float) -> str:
    return f"{value:,.10g}".replace("-", "−")


def _rows(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads), *body]
