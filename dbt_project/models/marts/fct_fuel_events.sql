{#-
    The migration creates this table, as dbt cannot create one that is partitioned by month; hence
    full_refresh=false: dbt never replaces it.

    `not materialized`: a CTE that is used twice would else be read whole, for each stop.
-#}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
    meta={"follows": "anomalies+fuel_events"},
    pre_hook="{{ forget(in_touched_hours('hour_start', 'anomalies+fuel_events')) }}"
) }}

with trips_rows as (
    select * from {{ ref('stg_trips') }}
),

trips as not materialized (
    select * from {{ ref('fct_trips') }}
    where
        trip_kind = 'motion'
        and {{ in_touched_hours('hour_start', 'anomalies+fuel_events') }}
),

anomalies as (
    select * from {{ ref('fct_anomalies') }}
    where {{ in_touched_hours('hour_start', 'anomalies+fuel_events') }}
),

versions as not materialized (
    select * from {{ ref('stg_vehicle_versions') }}
),

stops as (
    select
        trips.vehicle_id,
        trips.trip_id,
        trips.driver_id,
        trips.fleet_id,
        trips.vehicle_type,
        trips.event_hour,
        trips.hour_start,
        trips.date_local,
        left_off.ended_at as started_at,
        trips.started_at as ended_at,
        trips.fuel_start_percent - left_off.fuel_end_percent as level_change_percent,
        greatest(trips.fuel_noise_percent, left_off.fuel_noise_percent) as noise_percent
    from trips
    cross join
        lateral (
            select
                earlier.started_at,
                earlier.ended_at,
                earlier.fuel_end_percent,
                earlier.fuel_noise_percent
            from trips_rows as earlier
            where
                earlier.vehicle_id = trips.vehicle_id
                and earlier.started_at < trips.started_at
                and earlier.hour_start <= trips.hour_start
                and earlier.started_at >= trips.started_at - interval '30 days'
                and earlier.trip_kind = 'motion'
                and earlier.fuel_end_percent is not null
            order by earlier.started_at desc
            limit 1
        ) as left_off
    left join versions
        on
            trips.vehicle_id = versions.vehicle_id
            and left_off.started_at >= versions.valid_from
            and left_off.started_at < versions.valid_to
    -- what a vehicle did for another fleet is not for the readers of this one
    where versions.fleet_id is not distinct from trips.fleet_id
),

events as (
    select
        vehicle_id,
        'refuel' as kind,
        'stop' as during,
        trip_id,
        driver_id,
        fleet_id,
        vehicle_type,
        event_hour,
        hour_start,
        date_local,
        started_at,
        ended_at,
        level_change_percent
    from stops
    where
        level_change_percent
        >= greatest({{ var('refuel_percent') }}, {{ var('refuel_noise_factor') }} * noise_percent)

    union all

    select
        vehicle_id,
        'refuel' as kind,
        'trip' as during,
        trip_id,
        driver_id,
        fleet_id,
        vehicle_type,
        event_hour,
        hour_start,
        date_local,
        started_at,
        ended_at,
        refuelled_percent as level_change_percent
    from trips
    where refuelled_percent > 0

    union all

    select
        vehicle_id,
        'sudden_loss' as kind,
        'stop' as during,
        trip_id,
        driver_id,
        fleet_id,
        vehicle_type,
        event_hour,
        hour_start,
        date_local,
        started_at,
        ended_at,
        -(evidence ->> 'peak')::double precision as level_change_percent
    from anomalies
    where
        source = 'rule'
        and rule_id = 'R28'
)

select
    events.vehicle_id,
    events.kind,
    events.during,
    events.trip_id,
    events.driver_id,
    events.fleet_id,
    events.vehicle_type,
    events.event_hour,
    events.hour_start,
    events.date_local,
    events.started_at,
    events.ended_at,
    events.level_change_percent,
    events.level_change_percent / 100 * versions.tank_gallons as level_change_gallons
from events
left join versions
    on
        events.vehicle_id = versions.vehicle_id
        and events.started_at >= versions.valid_from
        and events.started_at < versions.valid_to
