{#- A view, so that trips that late data has joined or split show at once. -#}
{{ config(materialized='view') }}

with trips_rows as (
    select * from {{ source('warehouse', 'trips') }}
)

select
    trip_id,
    vehicle_id,
    trip_kind,
    started_at,
    ended_at,
    state,
    samples,
    gps_miles,
    speed_miles,
    odometer_miles,
    idle_seconds,
    speed_max_mph,
    rpm_max,
    start_lat,
    start_lon,
    end_lat,
    end_lon,
    driver_id,
    signals,
    fuel_start_percent,
    fuel_end_percent,
    fuel_noise_percent,
    event_hour,
    extract(epoch from ended_at - started_at)::double precision as duration_seconds,
    coalesce(odometer_miles, gps_miles, speed_miles) as distance_miles
from trips_rows
