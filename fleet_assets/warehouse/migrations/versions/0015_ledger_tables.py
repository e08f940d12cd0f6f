"""Which tables the ledger shows, and whose stage each follows, are rows: a new one is an insert."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TABLES = """
create table warehouse.ledger_tables (
    table_name text primary key,
    stage text not null
);
insert into warehouse.ledger_tables (table_name, stage) values
    ('telemetry', 'telemetry'),
    ('telemetry_rejects', 'telemetry'),
    ('telemetry_outcomes', 'telemetry'),
    ('vehicle_outcomes', 'telemetry'),
    ('vehicle_hour_states', 'vehicle_hours'),
    ('vehicle_hours', 'vehicle_hours'),
    ('warehouse', 'warehouse'),
    ('marts', 'marts'),
    ('segments', 'rules'),
    ('vehicle_codes', 'rules'),
    ('rule_eligibility', 'rules'),
    ('trip_segments', 'rules'),
    ('trips', 'rules'),
    ('rule_anomalies', 'rules'),
    ('anomalies', 'rules'),
    ('feature_windows', 'features')
"""

# As in 0012, but for the tables, which stood in it.
VIEW = """
create or replace view warehouse.partition_ledger as
with by_stage as (
    select stage_of.table_name, entry.*
    from warehouse.stage_ledger as entry
    inner join warehouse.ledger_tables as stage_of on entry.stage = stage_of.stage
),
by_table as (
    select
        coalesce(held.event_hour, entry.event_hour) as event_hour,
        coalesce(held.table_name, entry.table_name) as table_name,
        coalesce(held.hour_start, entry.hour_start) as hour_start,
        entry.stage,
        entry.state as stage_state,
        case
            when held.event_hour is null then entry.processed_version
            else held.processed_version
        end as processed_version,
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
),
loads as (
    select
        held.event_hour,
        'warehouse_' || held.table_name as table_name,
        held.hour_start,
        held.table_name as stage,
        entry.state as stage_state,
        case
            when entry.processed_version is not distinct from held.rows_number
                then held.processed_version
        end as processed_version,
        case
            when entry.processed_version is not distinct from held.rows_number
                then held.processed_input_at
        end as processed_input_at,
        coalesce(entry.rows, 0) as rows,
        null::bigint as files,
        null::bigint as bytes,
        null::timestamptz as written_at,
        coalesce(entry.attempts, 0) as attempts,
        entry.next_attempt_at,
        entry.detail,
        entry.run_id,
        entry.last_run_at,
        entry.first_processed_at,
        entry.processed_at,
        entry.source_processed_at
    from warehouse.lake_ledger as held
    left join warehouse.stage_ledger as entry
        on held.event_hour = entry.event_hour and held.table_name = entry.stage
    where held.table_name in ('rule_eligibility', 'trips', 'rule_anomalies', 'anomalies')
),
every as (
    select * from by_table
    union all
    select * from loads
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
from every as one
left join warehouse.lake_ledger as landed
    on one.event_hour = landed.event_hour and landed.table_name = 'raw_telemetry'
left join warehouse.ledger_overrides as released
    on one.event_hour = released.event_hour
    and one.stage = released.stage
    and released.ended_at is null
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(VIEW)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
