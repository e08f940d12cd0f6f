{#- A view over the days, so that a price that changes shows at once. -#}
{{ config(materialized='view', post_hook="{{ for_fleet_readers() }}") }}

with days as (
    select * from {{ ref('fct_vehicle_days') }}
    where {{ visible('fleet_id') }}
),

costs as (
    select * from {{ ref('idling_costs') }}
)

select
    days.date_local,
    days.vehicle_id,
    days.fleet_id,
    days.vehicle_type,
    days.engine_seconds,
    days.idle_seconds,
    days.idle_share,
    costs.currency,
    days.idle_seconds / 3600 * costs.idle_gallons_per_hour as idle_gallons,
    days.idle_seconds / 3600 * costs.idle_gallons_per_hour * costs.price_per_gallon as idle_cost
from days
left join costs on days.vehicle_type = costs.vehicle_type
