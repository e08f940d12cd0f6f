"""Bringing a Delta table that exists up to its contract: columns are added, nothing else changes.

A column that is new stays nullable in Delta even if its contract says otherwise, because rows
that were written before hold nothing there: readers see the contract's default for them. Whoever
writes from an older snapshot meanwhile gets a conflict and tries again on the new schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError
from deltalake.schema import Field

from fleet_assets.contracts.table import Table
from fleet_assets.errors import FleetError

_ATTEMPTS: Final = 8


def bring_up_to(delta: DeltaTable, contract: Table, properties: Mapping[str, str]) -> DeltaTable:
    """The table with all columns of its contract and these properties.

    Nothing is committed, and nothing read, when the snapshot has them already.

    Args:
        delta: a snapshot; it is moved to the newest version if something has to be added.
        contract: what the table must hold.
        properties: table properties that must be set; others are left as they are.

    Raises:
        FleetError: a column has another type than in its contract, or is in no contract.
    """
    for _ in range(_ATTEMPTS):
        missing = _missing(delta, contract)
        nullable = _to_relax(delta, contract)
        configuration = delta.metadata().configuration
        unset = {k: v for k, v in properties.items() if configuration.get(k) != v}
        if not (missing or nullable or unset):
            return delta
        try:
            if missing:
                delta.alter.add_columns(missing)
            for name in nullable:
                delta.alter.drop_column_not_null(name)
            if unset:
                delta.alter.set_table_properties(unset)
        except DeltaError as error:
            met = error
            delta.update_incremental()
        else:
            delta.update_incremental()
    raise FleetError(
        f"{contract.name}: its schema could not be brought up to its contract in {_ATTEMPTS}"
        f" attempts, other writers came between; it will be tried again by the next run ({met})"
    )


def refuse_other_types(delta: DeltaTable, contract: Table) -> None:
    """Raises FleetError if a column's type in Delta is not the contract's."""
    found = _fields(delta)
    for name, field in _contract_fields(contract).items():
        if name in found and found[name].type != field.type:
            raise FleetError(
                f"{contract.name}.{name} is {_said(found[name])} in the lake, but {_said(field)} in"
                " its contract: types never change. Restore the contract, or give the column with"
                " the new type a new name and rebuild."
            )


def _missing(delta: DeltaTable, contract: Table) -> list[Field]:
    """Fields to add, all nullable."""
    refuse_other_types(delta, contract)
    found, wanted = _fields(delta), _contract_fields(contract)
    unknown = [name for name in found if name not in wanted]
    if unknown:
        raise FleetError(
            f"{contract.name} has columns in the lake that its contract lacks ({', '.join(unknown)}"
            "): columns are never removed. Update this installation if a newer one has added them,"
            " else restore them in the contract."
        )
    defaults = {column.name: column.default for column in contract.columns}
    for name in wanted:
        if name not in found and not wanted[name].nullable and defaults[name] is None:
            raise FleetError(
                f"{contract.name}.{name} is new in the contract and may not be null, but the lake"
                " holds rows without it: give the column a default in contracts/tables.py, or make"
                " it nullable."
            )
    return [Field(name, wanted[name].type, nullable=True) for name in wanted if name not in found]


def _to_relax(delta: DeltaTable, contract: Table) -> list[str]:
    """Columns that may be null by contract and not yet in Delta."""
    found, wanted = _fields(delta), _contract_fields(contract)
    return [n for n, f in wanted.items() if n in found and f.nullable and not found[n].nullable]


def _fields(delta: DeltaTable) -> dict[str, Field]:
    return {field.name: field for field in delta.schema().fields}


@lru_cache(maxsize=64)
def _contract_fields(contract: Table) -> dict[str, Field]:
    return {field.name: field for field in Schema.from_arrow(contract.arrow_schema).fields}


def _said(field: Field) -> str:
    kind = field.type
    return str(getattr(kind, "type", kind))
