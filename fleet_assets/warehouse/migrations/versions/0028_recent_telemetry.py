"""Recent telemetry: every row of the last hour, one per vehicle and minute of the last day."""

from __future__ import annotations

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

# Slices are made and dropped by the load (warehouse/recent_slices.py). Columns of eight bytes come
# first, so that no row is padded. The key makes a row that is loaded twice an error.
LEVEL = """
create table warehouse.{name} (
    event_time timestamptz not null,
    engine_rpm double precision,
    speed double precision,
    throttle_position double precision,
    coolant_temp double precision,
    fuel_level double precision,
    gps_lat double precision,
    gps_lon double precision,
    accel_x double precision,
    accel_y double precision,
    accel_z double precision,
    odometer double precision,
    engine_load double precision,
    battery_voltage double precision,
    oil_pressure double precision,
    intake_air_temp double precision,
    ambient_temp double precision,
    heading double precision,
    private boolean,
    ignition boolean,
    pto_active boolean,
    conflict boolean not null,
    vehicle_id text not null,
    driver_id text,
    dtc text[],
    null_signals text[] not null,
    invalid_values text,
    extra text,
    primary key (vehicle_id, event_time)
) partition by range (event_time)
"""

# which version of telemetry the hour is loaded from, and the number of its rows in it
HOURS = """
create table warehouse.telemetry_recent_hours (
    event_hour text primary key,
    telemetry_version bigint not null,
    rows_number bigint not null,
    loaded_at timestamptz not null default clock_timestamp(),
    run_id text
)
"""

# one row
EXTENT = """
create table warehouse.telemetry_recent_extent (
    only_row boolean primary key default true check (only_row),
    full_from timestamptz not null,
    minutes_from timestamptz not null,
    is_cut boolean not null,
    bytes bigint not null,
    most_bytes bigint not null,
    loaded_at timestamptz not null
)
"""


def upgrade() -> None:
    op.execute(LEVEL.format(name="telemetry_full"))
    op.execute(LEVEL.format(name="telemetry_minutes"))
    op.execute(HOURS)
    op.execute(EXTENT)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
