{#- `not materialized`: a CTE that is used twice would else be read whole, for each vehicle. -#}
{{ config(materialized='view', post_hook="{{ for_fleet_readers() }}") }}

with hours as not materialized (
    select * from {{ ref('fct_vehicle_hours') }}
),

days as not materialized (
    select * from {{ ref('fct_vehicle_days') }}
),

outcomes as not materialized (
    select * from {{ ref('stg_vehicle_outcomes') }}
),

versions as (
    select * from {{ ref('stg_vehicle_versions') }}
),

identities as (
    select
        vehicle_id,
        count(*) filter (where vin != vin_before) as vin_changes,
        max(valid_from) filter (where vin != vin_before) as vin_changed_at
    from (
        select
            vehicle_id,
            vin,
            valid_from,
            lag(vin) over (partition by vehicle_id order by valid_from) as vin_before
        from versions
    ) as in_order
    group by vehicle_id
),

vehicles as (
    select
        *,
        count(*) over (partition by vin) as vehicles_with_vin
    from versions
    where valid_to = 'infinity'
),

-- most vehicles are heard each day: the newest days are read at once, hours for the others only
recent as (
    select
        vehicle_id,
        max(last_event_time) as last_event_time
    from days
    where date_local >= (select max(all_days.date_local) - 2 from days as all_days)
    group by vehicle_id
),

last_seen as (
    select
        vehicle_id,
        last_event_time
    from recent

    union all

    select
        vehicles.vehicle_id,
        latest.last_event_time
    from vehicles
    cross join
        lateral (
            select hours.last_event_time
            from hours
            where hours.vehicle_id = vehicles.vehicle_id
            order by hours.hour_start desc
            limit 1
        ) as latest
    where vehicles.vehicle_id not in (select recent.vehicle_id from recent)
),

-- the clock of this mart, so that the same data gives the same rows
newest as (
    select max(last_event_time) as event_time from last_seen
),

week_outcomes as (
    select * from outcomes
    where hour_start > (select newest.event_time - interval '7 days' from newest)
),

week_hours as (
    select
        *,
        odometer_first_mi
        < lag(odometer_last_mi) over (partition by vehicle_id order by hour_start) - 1
            as odometer_falls
    from hours
    where hour_start > (select newest.event_time - interval '7 days' from newest)
),

told as (
    select
        vehicle_id,
        sum(late)::double precision / nullif(sum(accepted), 0) as late_share,
        sum(coalesce((rejected_by_reason ->> 'future')::bigint, 0))::bigint as future_messages
    from week_outcomes
    group by vehicle_id
),

clocks as (
    select
        week_hours.vehicle_id,
        min(extract(epoch from week_outcomes.newest_append_time - week_hours.last_event_time))
        ::double precision as least_delay_seconds
    from week_hours
    inner join week_outcomes
        on
            week_hours.hour_start = week_outcomes.hour_start
            and week_hours.vehicle_id = week_outcomes.vehicle_id
    group by week_hours.vehicle_id
),

did as (
    select
        vehicle_id,
        count(*) as hours_seen,
        sum(messages)::bigint as messages,
        sum(conflicts)::bigint as conflicts,
        count(*) filter (where odometer_falls) as odometer_falls
    from week_hours
    group by vehicle_id
)

select
    vehicles.vehicle_id,
    vehicles.fleet_id,
    vehicles.vehicle_type,
    vehicles.status,
    last_seen.last_event_time as last_seen_at,
    clocks.least_delay_seconds,
    told.late_share,
    vehicles.vin,
    vehicles.vehicles_with_vin,
    identities.vin_changes,
    identities.vin_changed_at,
    extract(epoch from newest.event_time - last_seen.last_event_time)::double precision
        as silent_seconds,
    vehicles.status = 'active'
    and (
        last_seen.last_event_time is null
        or newest.event_time - last_seen.last_event_time
        > interval '1 hour' * {{ var('silent_after_hours') }}
    ) as is_silent,
    coalesce(did.hours_seen, 0) as hours_seen,
    coalesce(did.messages, 0) as messages,
    coalesce(did.conflicts, 0) as conflicts,
    coalesce(did.odometer_falls, 0) as odometer_falls,
    coalesce(told.future_messages, 0) as future_messages
from vehicles
cross join newest
left join last_seen on vehicles.vehicle_id = last_seen.vehicle_id
left join identities on vehicles.vehicle_id = identities.vehicle_id
left join told on vehicles.vehicle_id = told.vehicle_id
left join clocks on vehicles.vehicle_id = clocks.vehicle_id
left join did on vehicles.vehicle_id = did.vehicle_id
where {{ visible('vehicles.fleet_id') }}
