"""Tables that were brought back from the archive: beside the lake's own, which stay as they are.

They lie in a lake of their own under `restored`, so that nothing that counts, follows or removes
rows of the lake ever meets them. `fleet sql` knows them as `restored_telemetry` and so on.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from fleet_assets.contracts.table import Table
from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.lake.store import Lake

PREFIX: Final = "restored_"
RESTORED: Final = {
    f"{PREFIX}{name}": replace(table, name=f"{PREFIX}{name}")
    for name, table in TABLE_BY_NAME.items()
    if table.partition_by is not None
}
"""By the name that they have in SQL."""
QUERYABLE: Final[Mapping[str, Table]] = ChainMap(TABLE_BY_NAME, RESTORED)
"""All that `fleet sql` knows."""


def restored_lake(lake: Lake) -> Lake:
    """Where they lie."""
    return Lake(lake.uri("restored"))
