{#-
    The migration creates this table, as dbt cannot create one that is partitioned by month; hence
    full_refresh=false: dbt never replaces it.
-#}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
    pre_hook="{{ forget(in_touched_hours('hour_start')) }}"
) }}

with hours as (
    select * from {{ ref('stg_vehicle_hours') }}
    where {{ in_touched_hours('hour_start') }}
),

versions as (
    select * from {{ ref('stg_vehicle_versions') }}
)

select
    hours.event_hour,
    hours.hour_start,
    hours.vehicle_id,
    versions.fleet_id,
    versions.vehicle_type,
    hours.messages,
    hours.conflicts,
    hours.first_event_time,
    hours.last_event_time,
    hours.seconds_seen,
    hours.distance_miles,
    hours.engine_seconds,
    hours.idle_seconds,
    hours.moving_seconds,
    hours.fuel_used_percent,
    hours.fuel_used_gallons,
    hours.speed_avg_mph,
    hours.speed_max_mph,
    hours.speed_std_mph,
    hours.rpm_avg,
    hours.rpm_max,
    hours.rpm_std,
    hours.coolant_max_c,
    hours.first_lat,
    hours.first_lon,
    hours.last_lat,
    hours.last_lon,
    hours.odometer_first_mi,
    hours.odometer_last_mi,
    hours.invalid_values,
    hours.missing_engine_rpm,
    hours.missing_speed,
    hours.missing_throttle_position,
    hours.missing_coolant_temp,
    hours.missing_fuel_level,
    hours.missing_gps,
    hours.missing_accelerometer,
    -- of its middle, as the rules count hours of days
    (
        (hours.hour_start + interval '30 minutes')
        at time zone coalesce(versions.time_zone, 'UTC')
    )::date as date_local
from hours
left join versions
    on
        hours.vehicle_id = versions.vehicle_id
        and hours.hour_start >= versions.valid_from
        and hours.hour_start < versions.valid_to
