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

select
    event_hour,
    hour_start,
    vehicle_id,
    messages,
    conflicts,
    first_event_time,
    last_event_time,
    seconds_seen,
    distance_miles,
    engine_seconds,
    idle_seconds,
    moving_seconds,
    fuel_used_percent,
    fuel_used_gallons,
    speed_avg_mph,
    speed_max_mph,
    speed_std_mph,
    rpm_avg,
    rpm_max,
    rpm_std,
    coolant_max_c,
    first_lat,
    first_lon,
    last_lat,
    last_lon,
    odometer_first_mi,
    odometer_last_mi,
    invalid_values,
    missing_engine_rpm,
    missing_speed,
    missing_throttle_position,
    missing_coolant_temp,
    missing_fuel_level,
    missing_gps,
    missing_accelerometer
from {{ ref('stg_vehicle_hours') }}
where {{ in_touched_hours('hour_start') }}
