{#- Types of vehicles are those of the hour, or of an episode's beginning, as in other marts. -#}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    meta={"follows": "hours+rule_hours"},
    indexes=[{"columns": ["hour_start"]}],
    pre_hook="{{ forget(in_touched_hours('hour_start', 'hours+rule_hours')) }}"
) }}

with rule_eligibility_rows as (
    select * from {{ ref('stg_rule_eligibility') }}
    where {{ in_touched_hours('hour_start', 'hours+rule_hours') }}
),

-- an episode counts for every tier that it reached
reached as (
    select * from {{ ref('int_reached_tiers') }}
    where {{ in_touched_hours('hour_start', 'hours+rule_hours') }}
),

hours as (
    select * from {{ ref('fct_vehicle_hours') }}
    where {{ in_touched_hours('hour_start', 'hours+rule_hours') }}
),

seen as (
    select
        hours.hour_start,
        hours.vehicle_type,
        eligibility.ineligible,
        hours.seconds_seen / 3600 as hours_seen
    from rule_eligibility_rows as eligibility
    inner join hours
        on
            eligibility.hour_start = hours.hour_start
            and eligibility.vehicle_id = hours.vehicle_id
),

told as (
    select
        hour_start,
        vehicle_type,
        '(all)' as rule_id,
        sum(hours_seen) as hours_seen,
        null::double precision as hours_ineligible,
        0 as episodes
    from seen
    group by hour_start, vehicle_type

    union all

    select
        seen.hour_start,
        seen.vehicle_type,
        reason.key as rule_id,
        null::double precision as hours_seen,
        sum(seen.hours_seen) as hours_ineligible,
        0 as episodes
    from seen
    cross join lateral jsonb_object_keys(seen.ineligible) as reason (key)
    group by seen.hour_start, seen.vehicle_type, reason.key

    union all

    select
        hour_start,
        vehicle_type,
        rule_id,
        null::double precision as hours_seen,
        null::double precision as hours_ineligible,
        count(*) as episodes
    from reached
    group by hour_start, vehicle_type, rule_id
)

select
    hour_start,
    vehicle_type,
    rule_id,
    sum(hours_seen) as hours_seen,
    sum(hours_ineligible) as hours_ineligible,
    sum(episodes)::bigint as episodes
from told
where vehicle_type is not null
group by hour_start, vehicle_type, rule_id
