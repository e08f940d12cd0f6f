"""What the wiring modules share: groups, owners, asset specs made from the contracts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from dagster import (
    AssetDep,
    AssetKey,
    AssetSpec,
    DailyPartitionsDefinition,
    HourlyPartitionsDefinition,
    MetadataValue,
    TableColumn,
    TableColumnConstraints,
    TableSchema,
    TimeWindowPartitionsDefinition,
)

from fleet_assets.contracts.dictionary import type_name
from fleet_assets.contracts.table import Column, Table
from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.settings import Settings
from partitions.definitions import daily_partitions, hourly_partitions

OWNERS: Final = ["team:data-platform"]
INGEST, LAKE, WAREHOUSE, QUALITY = "ingest", "lake", "warehouse", "quality"
RULES: Final = "rules"
_PIECES: Final = {"event_hour": "Hours", "event_day": "Days"}
LANE_TAG: Final = "fleet/lane"
"""Tag of the runs that the refresh sensor requests: the lane they are in."""
KAFKA_TOPIC: Final = AssetKey(["kafka", "vehicle_telemetry"])


def hours(settings: Settings | None = None) -> HourlyPartitionsDefinition:
    """The hour partitions of this installation."""
    return hourly_partitions((settings or Settings()).partitions_start)


def days(settings: Settings | None = None) -> DailyPartitionsDefinition:
    """The day partitions of this installation."""
    return daily_partitions((settings or Settings()).partitions_start)


def column_schema(contract: Table) -> TableSchema:
    """The contract's columns as the Dagster UI shows them."""
    return TableSchema(columns=[_column(column) for column in contract.columns])


def lake_spec(
    name: str,
    group: str,
    deps: Sequence[AssetDep | AssetKey | str],
    *,
    partitions_def: TimeWindowPartitionsDefinition | None,
    skippable: bool = False,
) -> AssetSpec:
    """Spec of a lake table, described by its contract."""
    contract = TABLE_BY_NAME[name]
    return AssetSpec(
        key=name,
        deps=list(deps),
        description=f"{contract.description}\n\nOne row: {contract.grain}."
        + (
            f" {_PIECES[contract.partition_by]} without data stay missing; that is no error."
            if partitions_def and contract.partition_by
            else ""
        ),
        group_name=group,
        owners=OWNERS,
        kinds={"deltalake", contract.layer} if contract.layer != "accounting" else {"deltalake"},
        partitions_def=partitions_def,
        skippable=skippable,
        metadata={"dagster/column_schema": column_schema(contract), "grain": contract.grain},
    )


def moment(value: datetime | None) -> str:
    """A time for people; '–' for none."""
    return "–" if value is None else value.strftime("%Y-%m-%d %H:%M:%S UTC")


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A small table for metadata."""
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    lines += [
        " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)
        for row in rows
    ]
    return "\n".join(f"| {line} |" for line in lines)


def warehouse_key(table: str) -> AssetKey:
    """Key of a table of the schema `warehouse`, apart from the lake's table of the same name."""
    return AssetKey(f"warehouse_{table}")


def loaded_spec(
    table: str,
    group: str,
    deps: Sequence[AssetKey | str],
    partitions_def: HourlyPartitionsDefinition,
) -> AssetSpec:
    """Spec of a lake table as it is loaded into PostgreSQL."""
    contract = TABLE_BY_NAME[table]
    return AssetSpec(
        key=warehouse_key(table),
        deps=list(deps),
        description=f"{contract.description} The lake's table, in PostgreSQL.",
        group_name=group,
        owners=OWNERS,
        kinds={"postgres"},
        partitions_def=partitions_def,
        skippable=True,
        metadata={
            "dagster/column_schema": column_schema(contract),
            "dagster/table_name": f"fleet.warehouse.{table}",
        },
    )


def by_hand_spec(table: str, group: str, description: str) -> AssetSpec:
    """Spec of a table of the warehouse that commands or other loads write, no step of its own."""
    return AssetSpec(
        key=warehouse_key(table),
        description=description,
        group_name=group,
        owners=OWNERS,
        kinds={"postgres"},
        metadata={"dagster/table_name": f"fleet.warehouse.{table}"},
    )


def listed(lines: Sequence[str]) -> MetadataValue[Any]:
    """Findings as a list, or the plain word none."""
    if not lines:
        return MetadataValue.text("none")
    return MetadataValue.md("\n".join(f"- {line}" for line in lines))


def _column(column: Column) -> TableColumn:
    unit = f" [{column.unit}]" if column.unit else ""
    checks = []
    if column.minimum is not None or column.maximum is not None:
        low = "" if column.minimum is None else f"{column.minimum:,.10g}"
        high = "" if column.maximum is None else f"{column.maximum:,.10g}"
        checks.append(f"{low}…{high}")
    return TableColumn(
        name=column.name,
        type=type_name(column.dtype),
        description=column.description + unit,
        constraints=TableColumnConstraints(nullable=column.nullable, other=checks),
    )
