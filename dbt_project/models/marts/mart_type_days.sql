{{ config(
    materialized='incremental',
    incremental_strategy='append',
    indexes=[{"columns": ["date_local"]}],
    pre_hook="{{ forget(in_touched_local_days('date_local')) }}",
    post_hook="{{ for_fleet_readers() }}"
) }}

with days as (
    select * from {{ ref('fct_vehicle_days') }}
    where {{ in_touched_local_days('date_local') }}
)

select
    date_local,
    fleet_id,
    vehicle_type,
    count(*) as vehicles_seen,
    count(*) filter (where moving_seconds > 0) as vehicles_used,
    sum(seconds_seen) as seconds_seen,
    sum(distance_miles) as distance_miles,
    sum(engine_seconds) as engine_seconds,
    sum(idle_seconds) as idle_seconds,
    sum(moving_seconds) as moving_seconds,
    sum(fuel_used_gallons) as fuel_used_gallons
from days
group by date_local, fleet_id, vehicle_type
