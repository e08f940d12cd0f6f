{{ config(materialized='view', post_hook="{{ for_fleet_readers() }}") }}

with seen as not materialized (
    select * from {{ ref('fct_vehicle_days') }}
),

dates as (
    select date_day from {{ ref('dim_dates') }}
),

versions as (
    select * from {{ ref('stg_vehicle_versions') }}
),

newest as (
    select max(date_local) as date_local from seen
),

spans as (
    select
        vehicle_id,
        min(date_local) as first_date
    from seen
    group by vehicle_id
),

-- each vehicle's days from its first one on, also those without a message
days as (
    select
        spans.vehicle_id,
        dates.date_day as date_local,
        versions.time_zone,
        seen.seconds_seen,
        seen.engine_seconds,
        seen.moving_seconds,
        seen.distance_miles,
        seen.vehicle_id is not null as is_seen,
        case when seen.vehicle_id is null then versions.fleet_id else seen.fleet_id end
            as fleet_id,
        case when seen.vehicle_id is null then versions.vehicle_type else seen.vehicle_type end
            as vehicle_type,
        coalesce(seen.hours_seen, 0) as hours_seen
    from spans
    cross join newest
    inner join dates
        on spans.first_date <= dates.date_day and newest.date_local >= dates.date_day
    left join seen
        on spans.vehicle_id = seen.vehicle_id and dates.date_day = seen.date_local
    left join versions
        on
            spans.vehicle_id = versions.vehicle_id
            and dates.date_day + interval '12 hours' >= versions.valid_from at time zone 'UTC'
            and dates.date_day + interval '12 hours' < versions.valid_to at time zone 'UTC'
),

measured as (
    select
        *,
        extract(
            epoch from (date_local + 1)::timestamp at time zone coalesce(time_zone, 'UTC')
            - date_local::timestamp at time zone coalesce(time_zone, 'UTC')
        )::double precision as day_seconds
    from days
)

select
    date_local,
    vehicle_id,
    fleet_id,
    vehicle_type,
    is_seen,
    day_seconds,
    hours_seen,
    seconds_seen,
    engine_seconds,
    moving_seconds,
    distance_miles,
    engine_seconds / day_seconds as engine_share,
    moving_seconds / day_seconds as moving_share,
    moving_seconds > 0 as is_used
from measured
where {{ visible('fleet_id') }}
