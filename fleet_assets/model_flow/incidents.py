"""What is known of a span besides injected faults: labels by people and rules, and what is cut out.

Labels of different sources are never mixed: each row says where it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

import polars as pl

from fleet_assets.anomalies.incidents import IS_INCIDENT
from fleet_assets.anomalies.long import LONGEST
from fleet_assets.injection.labels import LABEL_SCHEMA, labels_of_feedback, labels_of_rules
from fleet_assets.lake.rule_anomalies import RULE_ANOMALIES
from fleet_assets.lake.store import Lake
from fleet_assets.lake.training_data import Span
from fleet_assets.warehouse.connection import transact
from partitions.hours import hour_key

_COLUMNS: Final = [
    "anomaly_id", "vehicle_id", "anomaly_type", "condition", "severity", "started_at", "ended_at",
    "stage",
]  # fmt: skip
FEEDBACK_SCHEMA: Final = pl.Schema(
    {
        "feedback_id": pl.Int64(), "anomaly_id": pl.String(), "current_id": pl.String(),
        "is_true": pl.Boolean(), "vehicle_id": pl.String(), "condition": pl.String(),
        "started_at": pl.Datetime("us", "UTC"), "ended_at": pl.Datetime("us", "UTC"),
    }
)  # fmt: skip


@dataclass(frozen=True)
class Known:
    """What is known of a span.

    Attributes:
        labels: rows of LABEL_SCHEMA with sources `rule` and `feedback`.
        incidents: `vehicle_id`, `started_at`, `ended_at` of what was wrong: confirmed by people, or
            found by rules about the vehicle (not its driver) with severity high or critical, unless
            people said that it was no anomaly.
    """

    labels: pl.DataFrame
    incidents: pl.DataFrame


NOTHING: Final = Known(
    LABEL_SCHEMA.to_frame(), LABEL_SCHEMA.to_frame().select("vehicle_id", "started_at", "ended_at")
)


def known_of(lake: Lake, feedback: pl.DataFrame, span: Span) -> Known:
    """What rules and people know of a span.

    Args:
        lake: holds `rule_anomalies`; without it rules have found nothing.
        feedback: rows of FEEDBACK_SCHEMA.
        span: the days.
    """
    found = _rule_anomalies(lake, span)
    begin = datetime.combine(span.first_day, time(), UTC)
    end = datetime.combine(span.last_day + timedelta(days=1), time(), UTC)
    touches = (pl.col("ended_at") >= begin) & (pl.col("started_at") < end)
    said = labels_of_feedback(feedback, found).filter(touches)
    by_rules = labels_of_rules(found).filter(touches)
    denied = said.filter(~pl.col("is_true"))["fault_id"].to_list()
    grave = found.filter(IS_INCIDENT)["anomaly_id"].to_list()
    wrong = pl.concat(
        [
            by_rules.filter(pl.col("fault_id").is_in(grave) & ~pl.col("fault_id").is_in(denied)),
            said.filter("is_true"),
        ]
    )
    incidents = wrong.select("vehicle_id", "started_at", "ended_at").unique()
    order = ["vehicle_id", "started_at", "ended_at"]
    return Known(pl.concat([by_rules, said]), incidents.sort(order))


def _rule_anomalies(lake: Lake, span: Span) -> pl.DataFrame:
    table = lake.open(RULE_ANOMALIES)
    # anomalies are cut after LONGEST, so none that began earlier reaches into the span
    first = hour_key(datetime.combine(span.first_day, time(), UTC) - LONGEST)
    last = hour_key(datetime.combine(span.last_day + timedelta(days=1), time(), UTC))
    inside = pl.col("event_hour").is_between(pl.lit(first), pl.lit(last), closed="left")
    if table.files.is_empty():
        return table.contract.polars_schema.to_frame().select(_COLUMNS)
    return table.read_files(table.files.filter(inside), _COLUMNS)


def feedback_of(postgres_url: str) -> pl.DataFrame:
    """All that people said of anomalies: rows of FEEDBACK_SCHEMA."""
    names = ", ".join(FEEDBACK_SCHEMA.names())
    rows = transact(
        postgres_url,
        lambda connection: connection.execute(
            f"select {names} from warehouse.anomaly_feedback order by feedback_id"
        ).fetchall(),
    )
    return pl.DataFrame(rows, schema=FEEDBACK_SCHEMA, orient="row")
