"""Per-hour facts, outcomes and the ledger of what has been processed."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Units are in the names or in the data dictionary (fleet_assets/contracts/tables.py).
HOUR_COLUMNS = """
    event_hour text not null,
    hour_start timestamptz not null,
    vehicle_id text not null,
    messages bigint not null,
    conflicts bigint,
    first_event_time timestamptz,
    last_event_time timestamptz,
    seconds_seen double precision,
    distance_miles double precision,
    engine_seconds double precision,
    idle_seconds double precision,
    moving_seconds double precision,
    fuel_used_percent double precision,
    fuel_used_gallons double precision,
    speed_avg_mph double precision,
    speed_max_mph double precision,
    speed_std_mph double precision,
    rpm_avg double precision,
    rpm_max double precision,
    rpm_std double precision,
    coolant_max_c double precision,
    first_lat double precision,
    first_lon double precision,
    last_lat double precision,
    last_lon double precision,
    odometer_first_mi double precision,
    odometer_last_mi double precision,
    invalid_values bigint,
    missing_engine_rpm double precision,
    missing_speed double precision,
    missing_throttle_position double precision,
    missing_coolant_temp double precision,
    missing_fuel_level double precision,
    missing_gps double precision,
    missing_accelerometer double precision
"""

TELEMETRY_OUTCOMES = """
create table warehouse.telemetry_outcomes (
    event_hour text not null,
    hour_start timestamptz not null,
    kafka_topic_id text not null,
    kafka_partition integer not null,
    offset_start bigint not null,
    offset_end bigint not null,
    landing_version bigint not null,
    read bigint not null,
    accepted bigint not null,
    duplicate bigint not null,
    rejected bigint not null,
    pending bigint not null,
    rejected_by_reason jsonb not null default '{}',
    late bigint not null default 0,
    revisions integer not null default 0
)
"""

VEHICLE_OUTCOMES = """
create table warehouse.vehicle_outcomes (
    event_hour text not null,
    hour_start timestamptz not null,
    vehicle_id text not null,
    read bigint not null,
    accepted bigint not null,
    duplicate bigint not null,
    rejected bigint not null,
    pending bigint not null default 0,
    rejected_by_reason jsonb not null default '{}',
    late bigint not null default 0,
    unknown_vehicle bigint not null generated always as (
        coalesce((rejected_by_reason ->> 'unknown_vehicle')::bigint, 0)
    ) stored,
    newest_append_time timestamptz,
    primary key (hour_start, vehicle_id)
) partition by range (hour_start)
"""

LEDGER = """
create table warehouse.partition_ledger (
    stage text not null check (stage in ('telemetry', 'vehicle_hours', 'warehouse', 'marts')),
    event_hour text not null,
    hour_start timestamptz not null,
    processed_version bigint,
    state text not null check (state in ('fresh', 'failed', 'withheld')),
    attempts integer not null default 0,
    next_attempt_at timestamptz,
    detail text,
    rows bigint,
    run_id text,
    first_processed_at timestamptz,
    processed_at timestamptz,
    source_processed_at timestamptz,
    primary key (stage, event_hour)
)
"""


def upgrade() -> None:
    # Both grow by vehicles × hours: partitioned by month, so that months can be dropped.
    for table in ("warehouse.vehicle_hours", "marts.fct_vehicle_hours"):
        name = table.partition(".")[2]
        op.execute(
            f"create table {table} ({HOUR_COLUMNS}, primary key (hour_start, vehicle_id)) "
            "partition by range (hour_start)"
        )
        op.execute(f"create index {name}_hour_brin on {table} using brin (hour_start)")
    op.execute(
        "create index fct_vehicle_hours_vehicle on marts.fct_vehicle_hours (vehicle_id, hour_start)"
    )
    op.execute(TELEMETRY_OUTCOMES)
    op.execute(
        "create unique index telemetry_outcomes_key on warehouse.telemetry_outcomes "
        "(hour_start, kafka_topic_id, kafka_partition, offset_start)"
    )
    op.execute(VEHICLE_OUTCOMES)
    op.execute(
        "create index vehicle_outcomes_unknown on warehouse.vehicle_outcomes "
        "(vehicle_id, event_hour) where unknown_vehicle > 0"
    )
    op.execute(LEDGER)
    op.execute("create index partition_ledger_hour on warehouse.partition_ledger (hour_start)")


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
