"""Which hours of trips and findings have changed since the marts were built, told by the tables."""

from __future__ import annotations

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

# a build takes the marks that it sees at its beginning, and removes these at its end
MARKS = """
create table warehouse.mart_marks (
    mark_id bigint generated always as identity primary key,
    topic text not null check (
        topic in ('trips', 'anomalies', 'fuel_events', 'vehicle_codes', 'rule_hours')
    ),
    hour_start timestamptz not null,
    marked_at timestamptz not null default clock_timestamp()
)
"""

# What each table says when rows of it (`changed`) come or go: topic and hour_start.
# A trip counts in the hour in which it begins, and anomalies are of it until it ends. What was
# filled in after it stands under the trips that follow, up to the first one that knows its level.
TRIPS = """
select 'trips', hour_start from changed
union
select 'anomalies', hours.hour_start
from changed
cross join lateral generate_series(hour_start, ended_at, interval '1 hour') as hours (hour_start)
where trip_kind = 'motion'
union
select 'fuel_events', hour_start from changed where trip_kind = 'motion'
union
select 'fuel_events', later.hour_start
from changed
left join lateral (
    select found.started_at
    from warehouse.trips as found
    where
        found.vehicle_id = changed.vehicle_id
        and found.started_at > changed.started_at
        and found.hour_start >= changed.hour_start
        and found.trip_kind = 'motion'
        and found.fuel_end_percent is not null
    order by found.started_at
    limit 1
) as known on true
inner join warehouse.trips as later
    on
        later.vehicle_id = changed.vehicle_id
        and later.started_at > changed.started_at
        and later.started_at <= coalesce(known.started_at, 'infinity')
        and later.hour_start >= changed.hour_start
        and later.trip_kind = 'motion'
where changed.trip_kind = 'motion'
"""
# an anomaly counts against the driver of its trip
ANOMALIES = """
select 'anomalies', hour_start from changed
union
select 'trips', trip.hour_start
from changed
cross join lateral (
    select trips.hour_start, trips.ended_at
    from warehouse.trips
    where
        trips.vehicle_id = changed.vehicle_id
        and trips.trip_kind = 'motion'
        and trips.started_at <= changed.started_at
        and trips.hour_start <= changed.hour_start
    order by trips.started_at desc
    limit 1
) as trip
where trip.ended_at >= changed.started_at
"""
# drivers are scored on what rules could judge
ELIGIBILITY = """
select 'rule_hours', hour_start from changed
union
select 'trips', hour_start from changed
"""
FEEDBACK = """
select topics.topic, marked.hour_start
from changed
inner join warehouse.anomalies as said
    on said.anomaly_id = coalesce(changed.current_id, changed.anomaly_id)
cross join lateral (
    select said.hour_start
    union
    select trips.hour_start
    from warehouse.trips
    where
        trips.vehicle_id = said.vehicle_id
        and trips.started_at <= said.started_at
        and trips.ended_at >= said.started_at
) as marked
cross join (values ('anomalies'), ('trips')) as topics (topic)
"""
SAYS = {
    "trips": TRIPS,
    "anomalies": ANOMALIES,
    "anomaly_feedback": FEEDBACK,
    "vehicle_codes": "select 'vehicle_codes', hour_start from changed",
    "rule_eligibility": ELIGIBILITY,
    "rule_anomalies": "select 'rule_hours', hour_start from changed",
}
FUNCTION = """
create function warehouse.mark_marts_of_{table}() returns trigger language plpgsql as $$
begin
    insert into warehouse.mart_marks (topic, hour_start)
    select distinct told.topic, date_trunc('hour', told.hour_start, 'UTC')
    from ({says}) as told (topic, hour_start);
    return null;
end $$
"""
TRIGGERS = """
create trigger mark_marts_insert after insert on warehouse.{table}
referencing new table as changed
for each statement execute function warehouse.mark_marts_of_{table}();
create trigger mark_marts_delete after delete on warehouse.{table}
referencing old table as changed
for each statement execute function warehouse.mark_marts_of_{table}();
create trigger mark_marts_update_old after update on warehouse.{table}
referencing old table as changed
for each statement execute function warehouse.mark_marts_of_{table}();
create trigger mark_marts_update_new after update on warehouse.{table}
referencing new table as changed
for each statement execute function warehouse.mark_marts_of_{table}()
"""
# all that is there
ALL = """
insert into warehouse.mart_marks (topic, hour_start)
select distinct topic, {table}.hour_start
from warehouse.{table} cross join unnest(array[{topics}]) as topics (topic)
"""
TOPICS = {
    "trips": "'trips', 'fuel_events'",
    "anomalies": "'anomalies'",
    "vehicle_codes": "'vehicle_codes'",
    "rule_eligibility": "'rule_hours'",
    "rule_anomalies": "'rule_hours'",
}

ANOMALIES_MART = """
create table marts.fct_anomalies (
    anomaly_id text not null,
    finding_id text,
    vehicle_id text not null,
    trip_id text,
    trip_started_at timestamptz,
    driver_id text,
    anomaly_type text,
    rule_id text,
    rule_version bigint,
    model_id text,
    source text,
    severity text,
    severity_history jsonb,
    confidence double precision,
    started_at timestamptz,
    ended_at timestamptz,
    detected_at timestamptz,
    state text,
    revision bigint,
    continues_id text,
    evidence jsonb,
    description text,
    recommended_action text,
    marked_true boolean,
    marked_note text,
    event_hour text,
    hour_start timestamptz not null,
    fleet_id text,
    vehicle_type text,
    date_local date,
    duration_seconds double precision,
    primary key (hour_start, anomaly_id)
) partition by range (hour_start);
create index fct_anomalies_vehicle on marts.fct_anomalies (vehicle_id, started_at);
create index fct_anomalies_id on marts.fct_anomalies (anomaly_id);
-- counts by day and kind need no row
create index fct_anomalies_day
on marts.fct_anomalies (date_local, anomaly_type, source, rule_id, fleet_id);
create index fct_anomalies_trip on marts.fct_anomalies (trip_started_at);
-- as dbt does to the tables that it makes: macros/visible_fleets.sql
alter table marts.fct_anomalies enable row level security;
create policy visible_fleets on marts.fct_anomalies for select using (
    (select marts.sees_all_fleets()) or fleet_id in (select fleet_id from marts.visible_fleets)
);
grant select on marts.fct_anomalies to bi_fleet_reader
"""
# views that become tables, and what reads them; dbt makes all of it again
FORMER = (
    "fct_anomalies", "fct_fuel_events", "mart_fuel_efficiency", "mart_driver_scores",
    "fct_fault_codes", "mart_rule_performance",
)  # fmt: skip
MONTHS = """
select warehouse.ensure_month_partitions('marts.fct_anomalies'::regclass, min(hour_start),
    max(hour_start))
from warehouse.anomalies having count(*) > 0
"""
# dbt makes indexes with a table only
INDEXES = """
do $$
declare
    mart text;
    day text;
begin
    for mart, day in values
        ('fct_vehicle_days', 'date_local'), ('mart_fleet_days', 'date_local'),
        ('mart_data_quality', 'date_utc')
    loop
        if to_regclass('marts.' || mart) is not null then
            execute format('create index on marts.%I (%I)', mart, day);
        end if;
    end loop;
end $$
"""


def upgrade() -> None:
    op.execute(MARKS)
    for table, says in SAYS.items():
        op.execute(FUNCTION.format(table=table, says=says))
        op.execute(TRIGGERS.format(table=table))
    for table, topics in TOPICS.items():
        op.execute(ALL.format(table=table, topics=topics))
    for view in FORMER:
        op.execute(f"drop view if exists marts.{view} cascade")
    op.execute(ANOMALIES_MART)
    op.execute(MONTHS)
    op.execute(INDEXES)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
