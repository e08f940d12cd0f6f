{{ config(materialized='view', post_hook="{{ for_fleet_readers() }}") }}

with days as (
    select * from {{ ref('mart_driver_days') }}
    where {{ visible('fleet_id') }}
),

months as (
    select
        month_local,
        driver_id,
        sum(trips)::bigint as trips,
        sum(distance_miles) as distance_miles,
        sum(scored_miles) as scored_miles,
        sum(ineligible_miles) as ineligible_miles,
        sum(harsh_brakings)::bigint as harsh_brakings,
        sum(harsh_accelerations)::bigint as harsh_accelerations,
        sum(harsh_cornerings)::bigint as harsh_cornerings,
        sum(over_speedings)::bigint as over_speedings,
        sum(penalty_points) as penalty_points
    from days
    group by month_local, driver_id
)

select
    month_local,
    driver_id,
    trips,
    distance_miles,
    scored_miles,
    ineligible_miles,
    harsh_brakings,
    harsh_accelerations,
    harsh_cornerings,
    over_speedings,
    penalty_points,
    case when scored_miles > 0 then penalty_points / scored_miles * 100 end
        as points_per_100_miles,
    case
        when driver_id != '(unknown)' and scored_miles >= {{ var('least_scored_miles') }}
            then greatest(0, 100 - penalty_points / scored_miles * 100)
    end as score
from months
