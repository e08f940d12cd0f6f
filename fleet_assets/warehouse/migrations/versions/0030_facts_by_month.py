"""Days of vehicles and fuel events by month, as all facts that grow with time."""

from __future__ import annotations

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

DAYS = """
create table marts.fct_vehicle_days (
    date_local date not null,
    vehicle_id text not null,
    fleet_id text,
    vehicle_type text,
    hours_seen bigint not null,
    messages bigint not null,
    conflicts bigint,
    invalid_values bigint,
    first_event_time timestamptz,
    last_event_time timestamptz,
    seconds_seen double precision,
    distance_miles double precision,
    engine_seconds double precision,
    idle_seconds double precision,
    moving_seconds double precision,
    idle_share double precision,
    fuel_used_percent double precision,
    fuel_used_gallons double precision,
    speed_avg_mph double precision,
    speed_max_mph double precision,
    rpm_avg double precision,
    rpm_max double precision,
    coolant_max_c double precision,
    odometer_first_mi double precision,
    odometer_last_mi double precision,
    primary key (date_local, vehicle_id)
) partition by range (date_local)
"""
FUEL_EVENTS = """
create table marts.fct_fuel_events (
    vehicle_id text,
    kind text,
    during text,
    trip_id text,
    driver_id text,
    fleet_id text,
    vehicle_type text,
    date_local date,
    started_at timestamptz,
    ended_at timestamptz,
    level_change_percent double precision,
    level_change_gallons double precision,
    event_hour text,
    hour_start timestamptz not null
) partition by range (hour_start);
create index fct_fuel_events_hour on marts.fct_fuel_events (hour_start);
create index fct_fuel_events_started on marts.fct_fuel_events (started_at)
"""
# what dbt has made so far is kept; its columns are those of before, in whatever order
MOVE = """
do $$
declare
    former regclass := to_regclass('marts.{table}');
    names text;
begin
    if former is not null then
        alter table marts.{table} rename to {table}_former;
    end if;
    {create};
    if former is not null then
        select string_agg(quote_ident(attname), ', ') into names
        from pg_attribute where attrelid = former and attnum > 0 and not attisdropped;
        perform warehouse.ensure_month_partitions(
            'marts.{table}'::regclass, min({key}), max({key})
        ) from marts.{table}_former having count(*) > 0;
        execute format(
            'insert into marts.{table} (%1$s) select %1$s from marts.{table}_former', names
        );
        -- with the views on it, which dbt makes again
        drop table marts.{table}_former cascade;
    end if;
end $$
"""
# as dbt does to the tables that it makes: macros/visible_fleets.sql
VISIBLE = """
alter table marts.{table} enable row level security;
create policy visible_fleets on marts.{table} for select using (
    (select marts.sees_all_fleets()) or fleet_id in (select fleet_id from marts.visible_fleets)
);
grant select on marts.{table} to bi_fleet_reader
"""
# months of all hours that are loaded; a vehicle's day may be that before or after
MONTHS = """
select warehouse.ensure_month_partitions(
    'marts.fct_vehicle_days'::regclass,
    min(hour_start) - interval '12 hours', max(hour_start) + interval '14 hours'
)
from warehouse.vehicle_hours having count(*) > 0;
select warehouse.ensure_month_partitions(
    'marts.fct_fuel_events'::regclass, min(hour_start), max(hour_start)
)
from (
    select hour_start from warehouse.trips
    union all
    select hour_start from warehouse.anomalies
) as hours
having count(*) > 0
"""
# the keys begin with the hour: these cost a fifth of a load, and no plan needs them
BRIN = """
drop index if exists warehouse.vehicle_hours_hour_brin;
drop index if exists marts.fct_vehicle_hours_hour_brin
"""
# questions about months of all vehicles read these alone, not the rows
INDEXES = """
create index fct_anomalies_findings
on marts.fct_anomalies (date_local, vehicle_type, severity, finding_id, marked_true);
do $$
begin
    if to_regclass('marts.mart_fuel_efficiency') is not null then
        create index on marts.mart_fuel_efficiency (
            date_local, vehicle_id, distance_with_fuel_miles, fuel_used_gallons
        );
    end if;
end $$
"""
# a mark starts a refresh, and so brings the views back
REFRESH = """
insert into warehouse.mart_marks (topic, hour_start)
select 'fuel_events', max(hour_start) from warehouse.stage_ledger
where stage = 'warehouse'
having count(*) > 0
"""


def upgrade() -> None:
    for table, key, create in (
        ("fct_vehicle_days", "date_local", DAYS),
        ("fct_fuel_events", "hour_start", FUEL_EVENTS),
    ):
        op.execute(MOVE.format(table=table, key=key, create=create))
        op.execute(VISIBLE.format(table=table))
    op.execute(MONTHS)
    op.execute(BRIN)
    op.execute(INDEXES)
    op.execute(REFRESH)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
