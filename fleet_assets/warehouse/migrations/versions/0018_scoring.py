"""What models find, how much they have judged, and both in the ledger."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

STAGES = (
    "'telemetry', 'vehicle_hours', 'warehouse', 'marts', 'rules', 'anomalies', 'rule_anomalies',"
    " 'rule_eligibility', 'trips', 'features', 'scoring', 'model_hours', 'model_anomalies'"
)

ANOMALIES = """
create table warehouse.model_anomalies (
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
    model_id text not null,
    stage text not null,
    fault text,
    closes_at timestamptz not null,
    primary key (hour_start, anomaly_id)
) partition by range (hour_start);
create index model_anomalies_hour_start on warehouse.model_anomalies using brin (hour_start)
"""

HOURS = """
create table warehouse.model_hours (
    event_hour text not null,
    hour_start timestamptz not null,
    model_id text not null,
    vehicle_group text not null,
    stage text not null,
    vehicles bigint not null,
    unknown_vehicles bigint not null,
    windows bigint not null,
    unscored_windows bigint not null,
    alarm_windows bigint not null,
    score_median double precision,
    score_p99 double precision,
    score_most double precision,
    primary key (hour_start, model_id, vehicle_group, stage)
) partition by range (hour_start);
create index model_hours_hour_start on warehouse.model_hours using brin (hour_start)
"""

TABLES = """
alter table warehouse.ledger_tables add column is_loaded boolean not null default false;
update warehouse.ledger_tables set is_loaded = true
where table_name in ('rule_eligibility', 'trips', 'rule_anomalies', 'anomalies');
insert into warehouse.ledger_tables (table_name, stage, is_loaded) values
    ('model_segments', 'scoring', false),
    ('model_hours', 'scoring', true),
    ('model_anomalies', 'scoring', true)
"""

# As in 0015, but for which tables are loaded by the number of their rows: rows say so now.
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
    inner join warehouse.ledger_tables as known on held.table_name = known.table_name
    left join warehouse.stage_ledger as entry
        on held.event_hour = entry.event_hour and held.table_name = entry.stage
    where known.is_loaded
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
    op.execute(
        "alter table warehouse.stage_ledger drop constraint stage_ledger_stage_check,"
        f" add constraint stage_ledger_stage_check check (stage in ({STAGES}))"
    )
    for statement in (ANOMALIES, HOURS, TABLES, VIEW):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
