"""Trips, anomalies, what became of them and is said of them, and which rules could judge whom."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STAGES = (
    "'telemetry', 'vehicle_hours', 'warehouse', 'marts', 'rules', 'anomalies', 'rule_anomalies',"
    " 'rule_eligibility', 'trips'"
)

ANOMALIES = """
create table warehouse.{table} (
    event_hour text not null,
    hour_start timestamptz not null,
    anomaly_id text not null,
    finding_id text not null,
    vehicle_id text not null,
    anomaly_type text not null,
    condition text not null,
    rule_id text,
    rule_version bigint,
    severity text not null,
    severity_history jsonb not null,
    confidence double precision not null,
    started_at timestamptz not null,
    ended_at timestamptz not null,
    detected_at timestamptz not null,
    state text not null check (state in ('open', 'closed')),
    continues_id text,
    evidence jsonb not null,
    description text not null,
    recommended_action text not null,
    {more},
    primary key (hour_start, anomaly_id)
) partition by range (hour_start)
"""
MORE = {
    "anomalies": "source text not null, model_id text, revision bigint not null",
    "rule_anomalies": "stage text not null, release bigint not null,"
    " closes_at timestamptz not null",
}

TRIPS = """
create table warehouse.trips (
    event_hour text not null,
    hour_start timestamptz not null,
    trip_id text not null,
    vehicle_id text not null,
    trip_kind text not null check (trip_kind in ('motion', 'ignition')),
    started_at timestamptz not null,
    ended_at timestamptz not null,
    state text not null check (state in ('open', 'closed')),
    samples bigint not null,
    gps_miles double precision,
    speed_miles double precision,
    odometer_miles double precision,
    idle_seconds double precision,
    speed_max_mph double precision,
    rpm_max double precision,
    start_lat double precision,
    start_lon double precision,
    end_lat double precision,
    end_lon double precision,
    driver_id text,
    primary key (hour_start, trip_id)
) partition by range (hour_start)
"""

ELIGIBILITY = """
create table warehouse.rule_eligibility (
    event_hour text not null,
    hour_start timestamptz not null,
    vehicle_id text not null,
    ineligible jsonb not null,
    usual_interval_seconds double precision not null,
    primary key (hour_start, vehicle_id)
) partition by range (hour_start)
"""

# What became of an anomaly whose onset moved, or that was joined or split; new_id null: nothing
# is left of it.
LINEAGE = """
create table warehouse.anomaly_lineage (
    lineage_id bigint generated always as identity primary key,
    noted_at timestamptz not null default clock_timestamp(),
    old_id text not null,
    new_id text,
    overlap_seconds double precision not null,
    revision bigint not null,
    cause text not null check (cause in ('late', 'rules')),
    run_id text
)
"""

# Written in the transaction that loads the anomalies; published_at null: Kafka has not got it yet.
CHANGES = """
create table warehouse.anomaly_changes (
    change_id bigint generated always as identity primary key,
    changed_at timestamptz not null default clock_timestamp(),
    anomaly_id text not null,
    kind text not null check (kind in ('opened', 'updated', 'closed', 'revised')),
    payload jsonb not null,
    published_at timestamptz
)
"""

# Rows are never changed but for current_id: the anomaly that the words are about now.
FEEDBACK = """
create table warehouse.anomaly_feedback (
    feedback_id bigint generated always as identity primary key,
    marked_at timestamptz not null default clock_timestamp(),
    marked_by text not null,
    anomaly_id text not null,
    current_id text,
    is_true boolean not null,
    note text,
    vehicle_id text not null,
    rule_id text,
    condition text not null,
    started_at timestamptz not null,
    ended_at timestamptz not null
)
"""


# The catalogue in force now, for the marts; each load writes it anew.
CATALOGUE = """
create table warehouse.rule_catalogue (
    rule_id text primary key,
    anomaly_type text not null,
    title text not null,
    severity text not null,
    stage text not null,
    rule_version bigint not null,
    release bigint not null
)
"""


def upgrade() -> None:
    op.execute(
        "alter table warehouse.stage_ledger drop constraint partition_ledger_stage_check,"
        f" add constraint stage_ledger_stage_check check (stage in ({STAGES}))"
    )
    for table, more in MORE.items():
        op.execute(ANOMALIES.format(table=table, more=more))
        op.execute(f"create index {table}_vehicle on warehouse.{table} (vehicle_id, started_at)")
        op.execute(f"create index {table}_id on warehouse.{table} (anomaly_id)")
    op.execute(TRIPS)
    op.execute("create index trips_vehicle on warehouse.trips (vehicle_id, started_at)")
    op.execute(ELIGIBILITY)
    op.execute(LINEAGE)
    op.execute("create index anomaly_lineage_old on warehouse.anomaly_lineage (old_id)")
    op.execute("create index anomaly_lineage_new on warehouse.anomaly_lineage (new_id)")
    op.execute(CHANGES)
    op.execute(
        "create index anomaly_changes_unpublished on warehouse.anomaly_changes (change_id)"
        " where published_at is null"
    )
    op.execute(FEEDBACK)
    op.execute("create index anomaly_feedback_current on warehouse.anomaly_feedback (current_id)")
    op.execute("create index anomaly_feedback_given on warehouse.anomaly_feedback (anomaly_id)")
    op.execute(CATALOGUE)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
