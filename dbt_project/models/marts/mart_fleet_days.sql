{{ config(
    materialized='incremental',
    incremental_strategy='append',
    indexes=[{"columns": ["date_local"]}],
    pre_hook="{{ forget(in_touched_local_days('date_local')) }}",
    post_hook="{{ for_fleet_readers() }}"
) }}

with hours as (
    select * from {{ ref('fct_vehicle_hours') }}
    where
        {{ in_touched_local_days('date_local') }}
        and {{ in_hours_of_touched_local_days('hour_start') }}
)

select
    date_local,
    coalesce(fleet_id, '(none)') as fleet_id,
    count(distinct vehicle_id) as vehicles_seen,
    count(distinct vehicle_id) filter (where moving_seconds > 0) as vehicles_moving,
    count(*) as vehicle_hours,
    sum(seconds_seen) as seconds_seen,
    sum(distance_miles) as distance_miles,
    sum(engine_seconds) as engine_seconds,
    sum(idle_seconds) as idle_seconds,
    sum(moving_seconds) as moving_seconds,
    sum(idle_seconds) / nullif(sum(engine_seconds) filter (where idle_seconds is not null), 0)
        as idle_share,
    sum(moving_seconds)
    / nullif(sum(seconds_seen) filter (where moving_seconds is not null), 0) as moving_share,
    sum(fuel_used_gallons) as fuel_used_gallons,
    -- over the hours that know both: fuel of the others is no sign of thrift
    sum(distance_miles) filter (where fuel_used_gallons is not null)
    / nullif(sum(fuel_used_gallons) filter (where distance_miles is not null), 0)
        as miles_per_gallon,
    max(speed_max_mph) as speed_max_mph
from hours
group by date_local, coalesce(fleet_id, '(none)')
