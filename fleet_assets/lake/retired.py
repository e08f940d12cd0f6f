"""What tables remember of hours whose rows have gone, in the commits that removed them."""

from __future__ import annotations

from collections.abc import Mapping

from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.lake.archive import Batch
from fleet_assets.lake.store import Lake, TableSnapshot


def archived_id(key: str) -> str:
    """In any table: number of the newest batch of this hour or day that its archive holds."""
    return f"archived/{key}"


def archived_batches(table: TableSnapshot, key: str) -> int:
    """How many batches of this hour or day the archive holds."""
    return table.committed(archived_id(key)) or 0


def counts(lake: Lake, batch: Batch) -> bool:
    """Whether a batch counts: a crash may leave one that the lake knows nothing of.

    What only the warehouse held is archived before its transaction commits; all of it counts.
    """
    if batch.table not in TABLE_BY_NAME:
        return True
    snapshot = lake.find(batch.table)
    return snapshot is not None and batch.number <= archived_batches(snapshot, batch.key)


def marks_of_key(marks: Mapping[str, int], key: str) -> dict[str, int]:
    """All marks of one hour or day, so that whoever moves one of them meets the commit."""
    return {name: version for name, version in marks.items() if name.endswith(f"/{key}")}
