"""Types and columns that several tables share."""

from __future__ import annotations

from typing import Final

import polars as pl

from fleet_assets.contracts.table import Column

TEXT: Final = pl.String()
INT: Final = pl.Int64()
REAL: Final = pl.Float64()

EVENT_HOUR: Final = Column(
    "event_hour", TEXT, "Hour of event time, UTC, as its partition key.",
    pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}$",
)  # fmt: skip
EVENT_DAY: Final = Column(
    "event_day", TEXT, "Day of event time, UTC, as its partition key.",
    pattern=r"^\d{4}-\d{2}-\d{2}$",
)  # fmt: skip
VEHICLE_ID: Final = Column("vehicle_id", TEXT, "The vehicle.", pattern=r"^[^\x00-\x1f\x7f]{1,128}$")
