"""How much the rules find, by day: for people who look at it."""

from __future__ import annotations

from typing import Final

import polars as pl

from fleet_assets.warehouse.connection import transact

DAYS: Final = 30
VOLUME_SCHEMA: Final = pl.Schema(
    {
        "day": pl.Date(),
        "anomaly_type": pl.String(),
        "rule_id": pl.String(),
        "stage": pl.String(),
        "episodes": pl.Int64(),
    }
)
"""Episodes by day (UTC) of onset and by the highest tier that they reached."""


def rule_volume(postgres_url: str, days: int = DAYS) -> pl.DataFrame:
    """Rows of VOLUME_SCHEMA of the newest days up to the newest anomaly, by day and rule."""
    found = transact(postgres_url, lambda c: c.execute(_VOLUME, {"days": days}).fetchall())
    return pl.DataFrame(found, schema=VOLUME_SCHEMA, orient="row")


_VOLUME = """
with newest as (
    select max(hour_start) as at from warehouse.rule_anomalies
)
select
    (hour_start at time zone 'UTC')::date as day,
    anomaly_type,
    rule_id,
    stage,
    count(*)
from warehouse.rule_anomalies
where hour_start > (select at from newest) - make_interval(days => %(days)s)
group by day, anomaly_type, rule_id, stage
order by day, rule_id, stage
"""
