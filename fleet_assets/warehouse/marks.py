"""What people have said of anomalies, as something to measure rules by."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl

from fleet_assets.episodes.stitch import TIME
from fleet_assets.warehouse.connection import transact

MARK_SCHEMA: Final = pl.Schema(
    {
        "vehicle_id": pl.String(),
        "condition": pl.String(),
        "started_at": TIME,
        "ended_at": TIME,
        "is_true": pl.Boolean(),
    }
)


def marks(postgres_url: str, begin: datetime, end: datetime) -> pl.DataFrame:
    """What was said last of each marked anomaly that touches a span, with its bounds back then.

    Returns:
        Rows of MARK_SCHEMA.
    """
    given = {"begin": begin, "end": end}
    found = transact(postgres_url, lambda c: c.execute(_MARKS, given).fetchall())
    return pl.DataFrame(found, schema=MARK_SCHEMA, orient="row")


_MARKS = """
select vehicle_id, condition, started_at, ended_at, is_true
from (
    select distinct on (coalesce(current_id, anomaly_id)) *
    from warehouse.anomaly_feedback
    order by coalesce(current_id, anomaly_id), feedback_id desc
) as last_said
where started_at < %(end)s and ended_at >= %(begin)s
order by vehicle_id, condition, started_at
"""
