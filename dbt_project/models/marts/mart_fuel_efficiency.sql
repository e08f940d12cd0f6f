{{ config(
    materialized='incremental',
    incremental_strategy='append',
    meta={"follows": "trips"},
    indexes=[
        {"columns": ["date_local", "vehicle_id", "distance_with_fuel_miles", "fuel_used_gallons"]}
    ],
    pre_hook="{{ forget(in_touched_local_days('date_local', 'trips')) }}",
    post_hook="{{ for_fleet_readers() }}"
) }}

with trips as (
    select
        *,
        distance_miles is not null and fuel_used_gallons is not null as knows_both
    from {{ ref('fct_trips') }}
    where
        trip_kind = 'motion'
        and {{ in_touched_local_days('date_local', 'trips') }}
        and {{ in_hours_of_touched_local_days('hour_start', 'trips') }}
)

select
    date_local,
    vehicle_id,
    fleet_id,
    vehicle_type,
    count(*) as trips,
    count(*) filter (where knows_both) as trips_with_fuel,
    sum(distance_miles) as distance_miles,
    sum(distance_miles) filter (where knows_both) as distance_with_fuel_miles,
    sum(fuel_used_gallons) filter (where knows_both) as fuel_used_gallons,
    sum(distance_miles) filter (where knows_both)
    / nullif(sum(fuel_used_gallons) filter (where knows_both), 0) as miles_per_gallon
from trips
group by date_local, vehicle_id, fleet_id, vehicle_type
