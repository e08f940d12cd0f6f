"""The registry of the lake's tables."""

from __future__ import annotations

import polars as pl

from fleet_assets.contracts.anomaly_tables import ANOMALY_TABLES
from fleet_assets.contracts.columns import EVENT_HOUR, INT, REAL, TEXT, VEHICLE_ID
from fleet_assets.contracts.feature_tables import FEATURE_TABLES
from fleet_assets.contracts.model_tables import MODEL_TABLES
from fleet_assets.contracts.reasons import REJECT_REASONS
from fleet_assets.contracts.signals import SIGNALS, Signal
from fleet_assets.contracts.table import UTC_MICROSECONDS, Column, Table
from fleet_assets.contracts.trip_tables import TRIP_TABLES

REASONS = tuple(REJECT_REASONS)

KAFKA_PARTITION = Column("kafka_partition", pl.Int32(), "Partition of the topic.", minimum=0)
KAFKA_TOPIC_ID = Column("kafka_topic_id", TEXT, "Id of the topic: a re-created topic has another.")
LANDING_VERSION = Column(
    "landing_version", INT, "Version of raw_telemetry that brought the message in.", minimum=0
)
OFFSETS = (
    Column("offset_start", INT, "First offset of the landed range.", minimum=0),
    Column("offset_end", INT, "One past the last offset of the landed range.", minimum=1),
)
COORDINATES = (
    LANDING_VERSION,
    KAFKA_TOPIC_ID,
    KAFKA_PARTITION,
    Column("kafka_offset", INT, "Offset in the partition.", minimum=0),
)
PAYLOAD = (
    Column("key", pl.Binary(), "Key of the Kafka message, byte for byte.", nullable=True),
    Column("value", pl.Binary(), "Value of the Kafka message, byte for byte.", nullable=True),
)
REPLAY_OF = Column(
    "replay_of",
    TEXT,
    "The reject that this message replays, as topic id/partition/offset of the message that a"
    " vehicle sent; null: a vehicle sent this one.",
    nullable=True,
)
APPEND_TIME = Column(
    "append_time", UTC_MICROSECONDS, "When Kafka appended the message, else when it landed."
)


def _count(name: str, description: str) -> Column:
    return Column(name, INT, description, "messages", minimum=0)


COUNTS = (
    _count("read", "Messages read from Kafka."),
    _count("accepted", "Messages that became a row of telemetry."),
    _count("duplicate", "Messages that repeat another one's values exactly."),
    _count("rejected", "Messages that became a row of telemetry_rejects."),
    _count("pending", "Messages landed but not yet decided; 0 once the hour is refreshed."),
    Column("rejected_by_reason", TEXT, "JSON object: messages per reject reason."),
    _count("late", "Messages older at their arrival than FLEET_LATE_AFTER."),
    Column(
        "replayed",
        INT,
        "Messages that replay a reject: read − replayed is what vehicles sent.",
        "messages",
        minimum=0,
        default=0,
    ),
)


def _signal_column(signal: Signal) -> Column:
    bounds = (signal.minimum, signal.maximum) if signal.kind == "number" else (None, None)
    return Column(
        signal.name,
        signal.dtype,
        signal.description,
        signal.unit,
        nullable=True,
        minimum=bounds[0],
        maximum=bounds[1],
        pattern=signal.pattern if signal.kind == "string" else None,
    )


RAW_TELEMETRY = Table(
    "raw_telemetry",
    "bronze",
    "one Kafka message",
    "Every message as it came, with its Kafka coordinates, under the hour of its event. What "
    "cannot be placed lies under the hour of its arrival, with the reason.",
    (
        EVENT_HOUR,
        *COORDINATES,
        *OFFSETS,
        APPEND_TIME,
        Column(
            "event_time", UTC_MICROSECONDS, "Time of the event, if it can be read.", nullable=True
        ),
        Column("vehicle_id", TEXT, "The vehicle, if it can be read.", nullable=True),
        Column(
            "reject_reason",
            TEXT,
            "Why landing refuses it; null: it does not.",
            nullable=True,
            allowed=REASONS,
        ),
        Column("reject_detail", TEXT, "What landing found, in words.", nullable=True),
        *PAYLOAD,
        REPLAY_OF,
    ),
    key=("kafka_topic_id", "kafka_partition", "kafka_offset"),
)

LANDINGS = Table(
    "landings",
    "accounting",
    "one landed range of offsets",
    "What each landing read: ranges of offsets join without a gap or an overlap.",
    (
        KAFKA_TOPIC_ID,
        KAFKA_PARTITION,
        *OFFSETS,
        _count("messages", "Messages found in the range."),
        Column(
            "holes",
            INT,
            "Offsets without a message (control records, aborted or compacted messages).",
            "offsets",
            minimum=0,
        ),
        Column(
            "lost",
            INT,
            "Offsets that Kafka had expired before they were read: the first ones of the range.",
            "offsets",
            minimum=0,
        ),
        LANDING_VERSION,
        Column("cluster_id", TEXT, "Id of the Kafka cluster."),
    ),
    key=("kafka_topic_id", "kafka_partition", "offset_start"),
    partition_by=None,
)

TELEMETRY = Table(
    "telemetry",
    "silver",
    "one vehicle at one time",
    "Decoded messages, one row per vehicle and event time. A null signal named in null_signals "
    "was sent as null (the sensor failed); one that is not named was absent (not fitted).",
    (
        EVENT_HOUR,
        VEHICLE_ID,
        Column("event_time", UTC_MICROSECONDS, "Time of the event."),
        *(_signal_column(signal) for signal in SIGNALS),
        Column("null_signals", pl.List(pl.String()), "Signals sent as explicit null."),
        Column("invalid_values", TEXT, "JSON object: signal → original value and reason.", nullable=True),
        Column("inexact_values", TEXT, "JSON object: signal → original value, where its decimal is rounded.", nullable=True),
        Column("extra", TEXT, "JSON object of the keys that no contract names.", nullable=True),
        Column("conflict", pl.Boolean(), "Messages of this vehicle and time disagree: treat as unknown."),
    ),
    key=("vehicle_id", "event_time"),
)  # fmt: skip

TELEMETRY_REJECTS = Table(
    "telemetry_rejects",
    "silver",
    "one message that is not in telemetry and repeats none that is",
    "Messages that were refused, with the reason and all their bytes.",
    (
        EVENT_HOUR,
        Column("reason", TEXT, "Code of the reason.", allowed=REASONS),
        Column("detail", TEXT, "What was found, in words."),
        Column("vehicle_id", TEXT, "The vehicle, if it can be read.", nullable=True),
        Column(
            "event_time", UTC_MICROSECONDS, "Time of the event, if it can be read.", nullable=True
        ),
        APPEND_TIME,
        *COORDINATES,
        *PAYLOAD,
        REPLAY_OF,
    ),
    key=("kafka_topic_id", "kafka_partition", "kafka_offset"),
)

DLQ_PUBLISHED = Table(
    "dlq_published",
    "accounting",
    "one reject that the dead-letter topic was sent, once per reason",
    "What telemetry-dlq holds: a reject that is missing here is still to be sent. A reject whose"
    " reason changes is sent again; one that was accepted later is not taken back.",
    (
        EVENT_HOUR,
        *COORDINATES[1:],
        Column("reason", TEXT, "Code of the reason.", allowed=REASONS),
        Column("dlq_partition", pl.Int32(), "Partition of telemetry-dlq.", minimum=0),
        Column("dlq_offset", INT, "Offset in telemetry-dlq.", minimum=0),
        Column("published_at", UTC_MICROSECONDS, "When it was sent."),
    ),
    key=("kafka_topic_id", "kafka_partition", "kafka_offset", "reason"),
)

TELEMETRY_OUTCOMES = Table(
    "telemetry_outcomes",
    "accounting",
    "one landed range of offsets within one event hour",
    "Where every message went: read = accepted + duplicate + rejected + pending.",
    (
        EVENT_HOUR,
        KAFKA_TOPIC_ID,
        KAFKA_PARTITION,
        *OFFSETS,
        LANDING_VERSION,
        *COUNTS,
        Column(
            "revisions", INT, "How often the counts changed after they were first known.", minimum=0
        ),
    ),
    key=("event_hour", "kafka_topic_id", "kafka_partition", "offset_start"),
)

VEHICLE_OUTCOMES = Table(
    "vehicle_outcomes",
    "accounting",
    "one vehicle in one event hour",
    "The outcomes by vehicle; '(none)' stands for messages whose vehicle cannot be read.",
    (
        EVENT_HOUR,
        VEHICLE_ID,
        *COUNTS,
        Column("newest_append_time", UTC_MICROSECONDS, "Newest arrival among the messages."),
    ),
    key=("event_hour", "vehicle_id"),
)

MISSING_SHARES = (
    "engine_rpm", "speed", "throttle_position", "coolant_temp", "fuel_level", "gps", "accelerometer",
)  # fmt: skip


def _real(name: str, unit: str | None, description: str, *, minimum: float | None = 0) -> Column:
    return Column(name, REAL, description, unit, nullable=True, minimum=minimum)


VEHICLE_HOURS = Table(
    "vehicle_hours",
    "gold",
    "one vehicle in one hour",
    "What each vehicle did in an hour. A sample holds until the next one if that comes within the "
    "vehicle's largest plausible gap (3 usual intervals, 5 to 60 s), else for one usual interval: "
    "the lower median of the gaps of the hour, in 0.1 s, at most 60 s. Times count in whole "
    "milliseconds.",
    (
        EVENT_HOUR,
        Column("hour_start", UTC_MICROSECONDS, "First moment of the hour."),
        VEHICLE_ID,
        Column("messages", INT, "Rows of telemetry.", "messages", minimum=1),
        Column("conflicts", INT, "Rows whose messages disagree; they count as unknown.", "messages", minimum=0),
        Column("first_event_time", UTC_MICROSECONDS, "First event."),
        Column("last_event_time", UTC_MICROSECONDS, "Last event."),
        Column("seconds_seen", REAL, "Time that samples cover.", "s", minimum=0, maximum=3600),
        _real("distance_miles", "mi", "Integral of speed over the time that it is known."),
        _real("engine_seconds", "s", "Time with the engine known to run (rpm > 0)."),
        _real("idle_seconds", "s", "Time with the engine running at under 1 mph."),
        _real("moving_seconds", "s", "Time at 1 mph or more."),
        _real("fuel_used_percent", "%", "Fall of the fuel level: the median of the hour's first five-minute block with readings less that of the last; null if the readings span less than ten minutes, and after a refuel."),
        _real("fuel_used_gallons", "gal", "The same, where the tank's size is known."),
        _real("speed_avg_mph", "mph", "Mean speed, weighted by time."),
        _real("speed_max_mph", "mph", "Highest speed."),
        _real("speed_std_mph", "mph", "Standard deviation of speed, weighted by time."),
        _real("rpm_avg", "rpm", "Mean engine speed while running, weighted by time."),
        _real("rpm_max", "rpm", "Highest engine speed."),
        _real("rpm_std", "rpm", "Standard deviation of engine speed while running."),
        _real("coolant_max_c", "°C", "Highest coolant temperature.", minimum=-40),
        _real("first_lat", "degrees", "Latitude of the first known position.", minimum=-90),
        _real("first_lon", "degrees", "Longitude of the first known position.", minimum=-180),
        _real("last_lat", "degrees", "Latitude of the last known position.", minimum=-90),
        _real("last_lon", "degrees", "Longitude of the last known position.", minimum=-180),
        _real("odometer_first_mi", "mi", "First odometer reading."),
        _real("odometer_last_mi", "mi", "Last odometer reading."),
        Column("invalid_values", INT, "Rows in which a value was refused.", "messages", minimum=0),
        *(
            Column(f"missing_{name}", REAL, f"Share of rows without a usable {name}.", None, minimum=0, maximum=1)
            for name in MISSING_SHARES
        ),
    ),
    key=("event_hour", "vehicle_id"),
)  # fmt: skip


def _steps(name: str, dtype: pl.DataType, unit: str | None, description: str) -> Column:
    return Column(name, dtype, description, unit, nullable=True)


def _moment(name: str, description: str) -> Column:
    return Column(name, UTC_MICROSECONDS, description, nullable=True)


_GAP_SUMS = (
    "samples", "ms", "speed_samples", "speed_ms", "speed_sum", "speed_sum_ms", "speed_squares",
    "speed_squares_ms", "running", "running_ms", "rpm_sum", "rpm_sum_ms", "rpm_squares",
    "rpm_squares_ms", "idle", "idle_ms", "moving", "moving_ms",
)  # fmt: skip
INT32 = pl.Int32()

VEHICLE_HOUR_STATES = Table(
    "vehicle_hour_states",
    "accounting",
    "one vehicle in one hour",
    "What vehicle_hours is made from: exact sums of whole numbers, to which new rows of telemetry "
    "are added without reading the old ones. Values of conflicting rows are unknown.",
    (
        EVENT_HOUR,
        VEHICLE_ID,
        Column("messages", INT, "Rows of telemetry.", "messages", minimum=1),
        Column("conflicts", INT, "Rows whose messages disagree.", "messages", minimum=0),
        Column("invalid_values", INT, "Rows in which a value was refused.", "messages", minimum=0),
        Column("speed_and_rpm", INT, "Rows with both a speed and an engine speed.", "messages", minimum=0),
        *(
            Column(f"missing_{name}", INT, f"Rows without a usable {name}.", "messages", minimum=0)
            for name in MISSING_SHARES
        ),
        Column("first_event_time", UTC_MICROSECONDS, "First event."),
        Column("last_event_time", UTC_MICROSECONDS, "Last event."),
        _moment("fuel_first_time", "First reading of the fuel level."),
        _moment("fuel_last_time", "Last reading of the fuel level."),
        _steps("speed_max", INT32, "0.01 mph", "Highest speed."),
        _steps("rpm_max", INT32, "0.01 rpm", "Highest engine speed."),
        _steps("coolant_max", INT32, "0.01 °C", "Highest coolant temperature."),
        _moment("position_first_time", "Time of the first known position."),
        _steps("first_lat", INT32, "10⁻⁶ degrees", "Its latitude."),
        _steps("first_lon", INT32, "10⁻⁶ degrees", "Its longitude."),
        _moment("position_last_time", "Time of the last known position."),
        _steps("last_lat", INT32, "10⁻⁶ degrees", "Its latitude."),
        _steps("last_lon", INT32, "10⁻⁶ degrees", "Its longitude."),
        _moment("odometer_first_time", "Time of the first odometer reading."),
        _steps("odometer_first", INT32, "0.01 mi", "That reading."),
        _moment("odometer_last_time", "Time of the last odometer reading."),
        _steps("odometer_last", INT32, "0.01 mi", "That reading."),
        Column(
            "gaps",
            pl.List(pl.Struct({"gap": pl.Int16(), **dict.fromkeys(_GAP_SUMS, INT)})),
            "Sums over the samples by the gap that follows them, in 0.1 s: 601 is any longer one, "
            "−1 the last sample's. Per sample and weighted with the gap (…_ms); running: engine "
            "speed above 0, counted from 8192 rpm; idle: running at under 1 mph; moving: at 1 mph or "
            "more. Steps of 0.01 mph and 0.01 rpm.",
        ),
        Column(
            "fuel",
            pl.List(pl.Struct({"block": INT32, "level": INT32, "readings": INT})),
            "How often each fuel level (0.01 %) was read in the first and in the last five minutes "
            "of the hour, counted from its start, in which it was.",
        ),
    ),
    key=("event_hour", "vehicle_id"),
)  # fmt: skip

TABLES: tuple[Table, ...] = (
    RAW_TELEMETRY,
    LANDINGS,
    TELEMETRY,
    TELEMETRY_REJECTS,
    DLQ_PUBLISHED,
    TELEMETRY_OUTCOMES,
    VEHICLE_OUTCOMES,
    VEHICLE_HOUR_STATES,
    VEHICLE_HOURS,
    *ANOMALY_TABLES,
    *TRIP_TABLES,
    *FEATURE_TABLES,
    *MODEL_TABLES,
)
TABLE_BY_NAME = {table.name: table for table in TABLES}
