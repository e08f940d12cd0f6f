"""The ledger by hour and table, overrides of withheld hours, and the revisions of hours."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# What the lake itself tells; the last five columns stand in the row of raw_telemetry only.
LAKE_LEDGER = """
create table warehouse.lake_ledger (
    event_hour text not null,
    table_name text not null,
    hour_start timestamptz not null,
    rows bigint not null,
    files bigint not null,
    bytes bigint not null,
    written_at timestamptz,
    processed_version bigint,
    processed_input_at timestamptz,
    newest_version bigint,
    newest_input_at timestamptz,
    raw_complete boolean,
    lost text,
    damaged text,
    primary key (event_hour, table_name)
)
"""

OVERRIDES = """
create table warehouse.ledger_overrides (
    override_id bigint generated always as identity primary key,
    stage text not null check (stage in ('telemetry', 'vehicle_hours')),
    event_hour text not null,
    reason text not null check (reason <> ''),
    released_by text not null,
    released_at timestamptz not null default clock_timestamp(),
    ended_by text,
    ended_at timestamptz,
    check ((ended_by is null) = (ended_at is null))
)
"""

REVISIONS = """
create table warehouse.hour_revisions (
    event_hour text not null,
    revision integer not null,
    hour_start timestamptz not null,
    revised_at timestamptz not null default clock_timestamp(),
    run_id text,
    cause text not null check (cause in ('late', 'registered', 'rebuild', 'repair')),
    messages_added bigint not null,
    late_added bigint not null,
    accepted_before bigint not null,
    accepted_after bigint not null,
    duplicate_before bigint not null,
    duplicate_after bigint not null,
    rejected_before bigint not null,
    rejected_after bigint not null,
    rows_before bigint not null,
    rows_after bigint not null,
    primary key (event_hour, revision)
)
"""

# The states of the hours, which `fleet ledger` and the asset partition_ledger read; 0012 says more.
VIEW = """
create view warehouse.partition_ledger as
with stage_of (table_name, stage) as (
    values
        ('telemetry', 'telemetry'),
        ('telemetry_rejects', 'telemetry'),
        ('telemetry_outcomes', 'telemetry'),
        ('vehicle_outcomes', 'telemetry'),
        ('vehicle_hour_states', 'vehicle_hours'),
        ('vehicle_hours', 'vehicle_hours'),
        ('warehouse', 'warehouse'),
        ('marts', 'marts')
),
by_stage as (
    select stage_of.table_name, entry.*
    from warehouse.stage_ledger as entry
    inner join stage_of on entry.stage = stage_of.stage
),
by_table as (
    select
        coalesce(held.event_hour, entry.event_hour) as event_hour,
        coalesce(held.table_name, entry.table_name) as table_name,
        coalesce(held.hour_start, entry.hour_start) as hour_start,
        entry.stage,
        entry.state as stage_state,
        coalesce(held.processed_version, entry.processed_version) as processed_version,
        held.processed_input_at,
        coalesce(held.rows, entry.rows) as rows,
        held.files,
        held.bytes,
        held.written_at,
        coalesce(entry.attempts, 0) as attempts,
        entry.next_attempt_at,
        entry.detail,
        entry.run_id,
        entry.last_run_at,
        entry.first_processed_at,
        entry.processed_at,
        entry.source_processed_at
    from warehouse.lake_ledger as held
    full outer join by_stage as entry
        on held.event_hour = entry.event_hour and held.table_name = entry.table_name
)
select
    one.event_hour,
    one.table_name,
    one.hour_start,
    one.stage,
    landed.newest_input_at,
    landed.newest_version,
    one.processed_version,
    case
        when one.processed_version >= landed.newest_version then landed.newest_input_at
        else one.processed_input_at
    end as processed_input_at,
    one.rows,
    one.files,
    one.bytes,
    case
        when one.stage_state = 'failed' then 'failed'
        when one.stage_state = 'withheld' then 'stale'
        when coalesce(one.processed_version, -1) < landed.newest_version then 'stale'
        when coalesce(landed.lost, landed.damaged) is not null then 'gap'
        else 'fresh'
    end as state,
    coalesce(one.stage_state = 'withheld', false) as withheld,
    released.released_by is not null as released,
    coalesce(landed.raw_complete, true) as raw_complete,
    concat_ws('; ', landed.lost, landed.damaged) as gap,
    one.attempts,
    one.next_attempt_at,
    one.detail,
    one.run_id,
    one.last_run_at,
    one.written_at,
    one.first_processed_at,
    one.processed_at,
    one.source_processed_at
from by_table as one
left join warehouse.lake_ledger as landed
    on one.event_hour = landed.event_hour and landed.table_name = 'raw_telemetry'
left join warehouse.ledger_overrides as released
    on one.event_hour = released.event_hour
    and one.stage = released.stage
    and released.ended_at is null
"""


def upgrade() -> None:
    op.execute("alter table warehouse.partition_ledger rename to stage_ledger")
    op.execute("alter table warehouse.stage_ledger add column last_run_at timestamptz")
    op.execute("update warehouse.stage_ledger set last_run_at = processed_at")
    op.execute(LAKE_LEDGER)
    op.execute("create index lake_ledger_hour on warehouse.lake_ledger (hour_start)")
    op.execute(OVERRIDES)
    op.execute(
        "create unique index ledger_overrides_active on warehouse.ledger_overrides "
        "(stage, event_hour) where ended_at is null"
    )
    op.execute(REVISIONS)
    op.execute("create index hour_revisions_time on warehouse.hour_revisions (revised_at)")
    op.execute(VIEW)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
