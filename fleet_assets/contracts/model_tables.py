"""Tables of what models find: by hour, and as anomalies."""

from __future__ import annotations

from typing import Final

import polars as pl

from fleet_assets.contracts.anomaly_tables import OF_ANOMALY
from fleet_assets.contracts.columns import EVENT_HOUR, INT, REAL, TEXT, VEHICLE_ID
from fleet_assets.contracts.table import UTC_MICROSECONDS, Column, Table

STAGES: Final = ("shadow", "live")
MODEL_ID: Final = Column(
    "model_id", TEXT, "The model: hash of its file.", pattern=r"^fm-[0-9a-f]{12}$"
)

MODEL_SEGMENTS: Final = Table(
    "model_segments",
    "silver",
    "one piece of an alarm of one model about one vehicle within one hour",
    "What models find in an hour, with the windows before it as context. Pieces that touch the edge of the hour "
    "are joined with those of the hours beside it: model_anomalies.",
    (
        EVENT_HOUR,
        VEHICLE_ID,
        Column("condition", TEXT, "Stage and model: live/… or shadow/…."),
        Column("part", TEXT, "run: an alarm; lead: it goes on if there was one before the hour.", allowed=("run", "lead")),
        Column("started_at", UTC_MICROSECONDS, "End of the window that makes it an alarm, or of the first one of the hour."),
        Column("ended_at", UTC_MICROSECONDS, "End of the last window that speaks for it."),
        Column("at_left", pl.Boolean(), "No known window of the hour lies before it."),
        Column("ended_by", TEXT, "What ended it; edge: nothing within the hour.", allowed=("clear", "gap", "set", "edge")),
        Column("max_gap_seconds", REAL, "Longest silence that it survives.", "s", minimum=0),
        Column("min_duration_seconds", REAL, "An alarm that begins here counts if it lasts so long.", "s", minimum=0),
        Column("samples", INT, "Windows with a score.", "windows", minimum=1),
        Column("peak", REAL, "Highest score; an alarm from 1 on.", nullable=True, minimum=0),
        Column("peak_at", UTC_MICROSECONDS, "End of its window.", nullable=True),
        Column("onset_at", UTC_MICROSECONDS, "End of the first window that speaks for it; of runs only.", nullable=True),
        Column("begins_at", UTC_MICROSECONDS, "Message with which the fault begins.", nullable=True),
        Column("stops_at", UTC_MICROSECONDS, "Message with which it ends.", nullable=True),
        Column("fault", TEXT, "The likeliest fault at the peak, as kind/device.", nullable=True),
        Column("confidence", REAL, "Calibrated share of true ones among windows with such a score.", minimum=0, maximum=1, nullable=True),
        Column("isolation", REAL, "How unusual the window at the peak is for the vehicle type, by Isolation Forest.", nullable=True),
        Column("is_known", pl.Boolean(), "Judged by the vehicle's own forests, not by its group's.", nullable=True),
        Column("reasons", TEXT, "JSON list: the strongest numbers at the peak, with their usual range.", nullable=True),
        Column("description", TEXT, "What happened, in a sentence.", nullable=True),
    ),
    key=("vehicle_id", "condition", "started_at", "part"),
)  # fmt: skip

MODEL_HOURS: Final = Table(
    "model_hours",
    "accounting",
    "one model in one stage and group of vehicles in one hour",
    "How much each model has judged, and how it scores: nothing is left out in silence.",
    (
        EVENT_HOUR,
        MODEL_ID,
        Column("vehicle_group", TEXT, "Vehicle type; fleet: vehicles without one."),
        Column("stage", TEXT, "live: its alarms count; shadow: it is on trial.", allowed=STAGES),
        Column("vehicles", INT, "Vehicles with a window in the hour.", "vehicles", minimum=0),
        Column("unknown_vehicles", INT, "Of these, judged by the forests of their group.", "vehicles", minimum=0),
        Column("windows", INT, "Windows.", "windows", minimum=0),
        Column("unscored_windows", INT, "Windows that the model has no score for.", "windows", minimum=0),
        Column("alarm_windows", INT, "Windows with the score of an alarm.", "windows", minimum=0),
        Column("score_median", REAL, "Median score.", nullable=True, minimum=0),
        Column("score_p99", REAL, "99th percentile of scores.", nullable=True, minimum=0),
        Column("score_most", REAL, "Highest score.", nullable=True, minimum=0),
    ),
    key=("event_hour", "model_id", "vehicle_group", "stage"),
)  # fmt: skip

MODEL_ANOMALIES: Final = Table(
    "model_anomalies",
    "gold",
    "one alarm of one model about one vehicle from its onset to its end",
    "What models have found, also those on trial (stage shadow), under the hour of the onset.",
    (
        *OF_ANOMALY,
        MODEL_ID,
        Column("stage", TEXT, "Whether its alarms counted then.", allowed=STAGES),
        Column("fault", TEXT, "The likeliest fault, as kind/device.", nullable=True),
        Column("closes_at", UTC_MICROSECONDS, "Silence until after this moment ends it."),
    ),
    key=("anomaly_id",),
)

MODEL_TABLES: Final = (MODEL_SEGMENTS, MODEL_HOURS, MODEL_ANOMALIES)
