{{ config(materialized='view') }}

with rules as (
    select * from {{ ref('stg_rules') }}
),

rule_eligibility_rows as (
    select * from {{ ref('stg_rule_eligibility') }}
),

hours as (
    select
        vehicle_id,
        ineligible,
        (hour_start at time zone 'UTC')::date as date_utc
    from rule_eligibility_rows
),

days as (
    select
        vehicle_id,
        date_utc,
        count(*) as hours_seen
    from hours
    group by vehicle_id, date_utc
),

lacking as (
    select
        hours.vehicle_id,
        hours.date_utc,
        reason.key as rule_id,
        count(*) as hours_ineligible,
        mode() within group (order by reason.value) as reason
    from hours
    cross join lateral jsonb_each_text(hours.ineligible) as reason
    group by hours.vehicle_id, hours.date_utc, reason.key
)

select
    days.date_utc,
    days.vehicle_id,
    rules.rule_id,
    days.hours_seen,
    lacking.reason,
    days.hours_seen - coalesce(lacking.hours_ineligible, 0) as hours_eligible
from days
cross join rules
left join lacking
    on
        days.vehicle_id = lacking.vehicle_id
        and days.date_utc = lacking.date_utc
        and rules.rule_id = lacking.rule_id
