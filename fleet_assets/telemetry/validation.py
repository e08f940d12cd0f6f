"""Checking a frame against its contract before it is committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

from fleet_assets.contracts.table import UTC_MICROSECONDS
from fleet_assets.contracts.tables import TABLE_BY_NAME, TELEMETRY

_SHOWN = 5


@dataclass(frozen=True)
class Verdict:
    """Result of checking one table's rows of one hour.

    Attributes:
        failures: one line for each broken check, with an example; empty: all passed.
    """

    table: str
    rows: int
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """All checks hold."""
        return not self.failures


class InvalidHourError(Exception):
    """The rows of an hour break their contract, so nothing of it is committed."""

    def __init__(self, verdicts: list[Verdict]) -> None:
        self.verdicts = verdicts
        broken = [f"{v.table}: {line}" for v in verdicts for line in v.failures]
        super().__init__("; ".join(broken[:_SHOWN]))


@lru_cache
def _schema(table: str) -> pa.DataFrameSchema:
    return TABLE_BY_NAME[table].pandera_schema()


def validate(table: str, rows: pl.DataFrame, event_hour: str | None) -> Verdict:
    """Checks rows: types, nulls, bounds, key, and that they belong to the hour or day.

    Args:
        table: name of the contract.
        rows: an eager frame (Pandera skips the values of a lazy one).
        event_hour: the hour or day that the rows are to be committed to; None: they are of several.
    """
    expected = TABLE_BY_NAME[table].polars_schema
    if rows.schema != expected or rows.columns != list(expected):
        return Verdict(table, rows.height, tuple(_schema_differences(rows.schema, expected)))
    if rows.is_empty():
        return Verdict(table, 0, ())
    failures: list[str] = []
    try:
        _schema(table).validate(rows, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases.select("column", "check", "failure_case")
        grouped = cases.group_by("column", "check", maintain_order=True).agg(
            pl.len(), pl.col("failure_case").first()
        )
        for column, check, count, example in grouped.iter_rows():
            failures.append(f"{column}: {check} fails {count} times, for example {example!s:.120}")
    contract = TABLE_BY_NAME[table]
    repeated = rows.height - _different(rows, contract.key)
    if repeated:
        failures.append(f"{', '.join(contract.key)}: {repeated} rows repeat the key of another")
    by = contract.partition_by
    if by is not None and event_hour is not None:
        elsewhere = rows.filter(pl.col(by) != event_hour).height
        if elsewhere:
            failures.append(f"{by}: {elsewhere} rows belong to another {by.removeprefix('event_')}")
    if table == TELEMETRY.name:
        hours = rows["event_hour"].unique().drop_nulls()
        start = rows["event_hour"].replace_strict(
            hours,
            (hours + ":00").str.to_datetime(time_unit="us", time_zone="UTC", strict=False),
            default=None,
            return_dtype=UTC_MICROSECONDS,
        )
        moment = rows["event_time"]
        outside = int(((moment < start) | (moment >= start.dt.offset_by("1h"))).sum())
        if outside:
            failures.append(f"event_time: {outside} rows lie outside the hour")
    if "read" in rows.columns:
        parts = pl.sum_horizontal("accepted", "duplicate", "rejected", "pending")
        wrong = rows.filter(pl.col("read") != parts).height
        if wrong:
            failures.append(
                f"read: in {wrong} rows it is not accepted + duplicate + rejected + pending"
            )
    return Verdict(table, rows.height, tuple(failures))


def validate_hours(table: str, rows: Mapping[str, pl.DataFrame]) -> dict[str, Verdict]:
    """Checks the rows of several hours of one table; gives the verdict on each.

    Raises:
        InvalidHourError: the rows of an hour break their contract.
    """
    verdicts = {hour: validate(table, frame, hour) for hour, frame in rows.items()}
    failed = [verdict for verdict in verdicts.values() if not verdict.passed]
    if failed:
        raise InvalidHourError(failed)
    return verdicts


def _different(rows: pl.DataFrame, key: tuple[str, ...]) -> int:
    """How many different keys there are."""
    *of, last = key
    if last == "kafka_offset":  # hundreds of thousands in a few groups: a third of the time
        return int(rows.group_by(of).agg(pl.col(last).n_unique())[last].sum())
    return rows.select(key).n_unique()


def _schema_differences(found: pl.Schema, expected: pl.Schema) -> list[str]:
    lines = [f"{name}: column is missing" for name in expected if name not in found]
    lines += [f"{name}: column is unknown" for name in found if name not in expected]
    lines += [
        f"{name}: type is {found[name]}, the contract says {dtype}"
        for name, dtype in expected.items()
        if name in found and found[name] != dtype
    ]
    return lines or ["columns are in another order than the contract's"]
