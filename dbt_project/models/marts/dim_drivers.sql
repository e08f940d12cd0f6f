{#- A view: trips that late data has joined or split show at once. -#}
{{ config(materialized='view', post_hook="{{ for_fleet_readers() }}") }}

with trips as (
    select * from {{ ref('fct_trips') }}
)

select
    driver_id,
    min(started_at) as first_trip_at,
    max(ended_at) as last_trip_at,
    count(*) as trips,
    count(distinct vehicle_id) as vehicles,
    sum(distance_miles) as distance_miles
from trips
where
    driver_id is not null
    and trip_kind = 'motion'
group by driver_id
