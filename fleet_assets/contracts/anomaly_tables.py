"""Tables of what rules find: by hour, and as anomalies."""

from __future__ import annotations

from typing import Final

import polars as pl

from fleet_assets.contracts.columns import EVENT_HOUR, INT, REAL, TEXT, VEHICLE_ID
from fleet_assets.contracts.table import UTC_MICROSECONDS, Column, Table

SEVERITIES: Final = ("low", "medium", "high", "critical")
STATES: Final = ("open", "closed")
SOURCES: Final = ("rule", "model")

SEGMENTS: Final = Table(
    "segments",
    "silver",
    "one piece of a condition of one vehicle within one hour",
    "What the rules find in an hour taken by itself. Pieces that touch the edge of the hour are "
    "joined with those of the hours beside it, and only then durations count: rule_anomalies.",
    (
        EVENT_HOUR,
        VEHICLE_ID,
        Column("condition", TEXT, "The rule; after a slash what of the vehicle it is about."),
        Column("part", TEXT, "run: it holds; lead: it holds if it held before the hour; mark: the hour begins with a sample to the contrary.", allowed=("run", "lead", "mark")),
        Column("started_at", UTC_MICROSECONDS, "First sample."),
        Column("ended_at", UTC_MICROSECONDS, "Last sample for which it is true."),
        Column("at_left", pl.Boolean(), "No known sample of the hour lies before it."),
        Column("ended_by", TEXT, "What ended it; edge: nothing within the hour.", allowed=("clear", "gap", "set", "edge")),
        Column("max_gap_seconds", REAL, "Longest silence that it survives.", "s", minimum=0),
        Column("min_duration_seconds", REAL, "An episode that begins here counts if it lasts so long.", "s", minimum=0),
        Column("samples", INT, "Known samples.", "messages", minimum=1),
        Column("peak", REAL, "How far the measured value went; negated where small values are looked for.", nullable=True),
        Column("peak_at", UTC_MICROSECONDS, "When.", nullable=True),
        Column("signals", TEXT, "JSON object: the signals at its first sample; of runs only.", nullable=True),
    ),
    key=("vehicle_id", "condition", "started_at", "part"),
)  # fmt: skip

RULE_ELIGIBILITY: Final = Table(
    "rule_eligibility",
    "accounting",
    "one vehicle in one hour",
    "Which rules could not judge a vehicle, and why. A rule that is not named has judged it.",
    (
        EVENT_HOUR,
        VEHICLE_ID,
        Column("ineligible", TEXT, "JSON object: rule → reason."),
        Column("usual_interval_seconds", REAL, "Time between its messages, of earlier days; 1 s while unknown.", "s", minimum=0),
    ),
    key=("event_hour", "vehicle_id"),
)  # fmt: skip

VEHICLE_CODES: Final = Table(
    "vehicle_codes",
    "silver",
    "one trouble code of one vehicle in one hour, and one row for all that it told",
    "Trouble codes that a vehicle told in an hour. A row without a code says when it told anything, "
    "be it that there is none; a vehicle without rows told nothing.",
    (
        EVENT_HOUR,
        VEHICLE_ID,
        Column("code", TEXT, "The code (SAE J2012); null: when any or none was told.", nullable=True),
        Column("first_seen", UTC_MICROSECONDS, "First message that told it."),
        Column("last_seen", UTC_MICROSECONDS, "Last message that told it."),
    ),
    key=("vehicle_id", "code"),
)  # fmt: skip

OF_ANOMALY: Final = (
    EVENT_HOUR,
    Column("anomaly_id", TEXT, "Hash of vehicle, condition and onset.", pattern=r"^[0-9a-f]{32}$"),
    Column("finding_id", TEXT, "Shared by anomalies of one vehicle and type that overlap: the id of the first.", pattern=r"^[0-9a-f]{32}$"),
    VEHICLE_ID,
    Column("anomaly_type", TEXT, "What kind it is."),
    Column("condition", TEXT, "What holds: the rule of the lowest tier, after a slash what of the vehicle; of models the stage and the model."),
    Column("rule_id", TEXT, "The highest tier that was reached.", nullable=True),
    Column("rule_version", INT, "Version of that rule.", nullable=True),
    Column("severity", TEXT, "The highest reached.", allowed=SEVERITIES),
    Column("severity_history", TEXT, "JSON list: when each severity was reached, and by which rule."),
    Column("confidence", REAL, "Of rules by the margin over the limit, the rule's precision and a signal that agrees, as the catalogue says; of models the calibrated share of true ones.", minimum=0, maximum=1),
    Column("started_at", UTC_MICROSECONDS, "First sample that sets the condition, or with which a model says that the fault began."),
    Column("ended_at", UTC_MICROSECONDS, "Last sample for which it is true, so far."),
    Column("detected_at", UTC_MICROSECONDS, "Earliest event time at which it could be told."),
    Column("state", TEXT, "open: nothing has ended it yet.", allowed=STATES),
    Column("continues_id", TEXT, "The anomaly that it goes on from, after a cut at seven days.", nullable=True),
    Column("evidence", TEXT, "JSON object: peak, limit, unit, samples, signals at the onset."),
    Column("description", TEXT, "What happened, in a sentence."),
    Column("recommended_action", TEXT, "What to do."),
)  # fmt: skip

RULE_ANOMALIES: Final = Table(
    "rule_anomalies",
    "gold",
    "one condition of one vehicle from its onset to its end",
    "What the rules have found, also those on trial (stage shadow), under the hour of the onset.",
    (
        *OF_ANOMALY,
        Column("stage", TEXT, "Stage of the rule at the onset.", allowed=("shadow", "live")),
        Column("release", INT, "Release of the catalogue that judged it.", minimum=1),
        Column("closes_at", UTC_MICROSECONDS, "Silence until after this moment ends it."),
    ),
    key=("anomaly_id",),
)

ANOMALIES: Final = Table(
    "anomalies",
    "gold",
    "one condition of one vehicle from its onset to its end",
    "All anomalies that count: of live rules and of models that serve. The hour is that of the onset; late "
    "data may move it, which anomaly_lineage in the warehouse tells.",
    (
        *OF_ANOMALY,
        Column("source", TEXT, "What has found it.", allowed=SOURCES),
        Column("model_id", TEXT, "The model, if one has found it.", nullable=True),
        Column("revision", INT, "How often it has changed since it was first shown.", minimum=0),
    ),
    key=("anomaly_id",),
)

ANOMALY_TABLES: Final = (SEGMENTS, VEHICLE_CODES, RULE_ELIGIBILITY, RULE_ANOMALIES, ANOMALIES)
