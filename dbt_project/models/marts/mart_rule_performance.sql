{{ config(materialized='view') }}

with rule_eligibility_rows as (
    select * from {{ source('warehouse', 'rule_eligibility') }}
),

vehicle_hours_rows as (
    select * from {{ source('warehouse', 'vehicle_hours') }}
),

vehicles_rows as (
    select * from {{ source('warehouse', 'vehicles') }}
),

rule_anomalies_rows as (
    select * from {{ source('warehouse', 'rule_anomalies') }}
),

anomaly_feedback_rows as (
    select * from {{ source('warehouse', 'anomaly_feedback') }}
),

rule_catalogue_rows as (
    select * from {{ source('warehouse', 'rule_catalogue') }}
),

seen as (
    select
        eligibility.vehicle_id,
        vehicles.vehicle_type,
        eligibility.ineligible,
        hours.seconds_seen / 3600 as hours_seen
    from rule_eligibility_rows as eligibility
    inner join vehicle_hours_rows as hours
        on
            eligibility.hour_start = hours.hour_start
            and eligibility.vehicle_id = hours.vehicle_id
    inner join vehicles_rows as vehicles
        on eligibility.vehicle_id = vehicles.id
),

by_type as (
    select
        vehicle_type,
        sum(hours_seen) as hours_seen
    from seen
    group by vehicle_type
),

lacking as (
    select
        seen.vehicle_type,
        reason.key as rule_id,
        sum(seen.hours_seen) as hours_ineligible
    from seen
    cross join lateral jsonb_object_keys(seen.ineligible) as reason (key)
    group by seen.vehicle_type, reason.key
),

-- an episode counts for every tier that it reached
reached as (
    select
        anomalies.anomaly_id,
        vehicles.vehicle_type,
        verdict.is_true,
        step.value ->> 'rule_id' as rule_id
    from rule_anomalies_rows as anomalies
    inner join vehicles_rows as vehicles
        on anomalies.vehicle_id = vehicles.id
    cross join lateral jsonb_array_elements(anomalies.severity_history) as step
    left join lateral (
        select given.is_true
        from anomaly_feedback_rows as given
        where
            given.current_id = anomalies.anomaly_id
            or (given.current_id is null and given.anomaly_id = anomalies.anomaly_id)
        order by given.feedback_id desc
        limit 1
    ) as verdict on true
),

counted as (
    select
        rule_id,
        vehicle_type,
        count(*) as episodes,
        count(is_true) as marked,
        count(*) filter (where not is_true) as marked_false
    from reached
    group by rule_id, vehicle_type
)

select
    rules.rule_id,
    rules.anomaly_type,
    rules.title,
    rules.severity,
    rules.stage,
    by_type.vehicle_type,
    by_type.hours_seen - coalesce(lacking.hours_ineligible, 0) as eligible_vehicle_hours,
    coalesce(counted.episodes, 0) as episodes,
    coalesce(counted.episodes, 0) * 1000
    / nullif(by_type.hours_seen - coalesce(lacking.hours_ineligible, 0), 0)
        as episodes_per_1000_hours,
    coalesce(counted.marked, 0) as marked,
    counted.marked_false::double precision / nullif(counted.marked, 0) as share_false
from rule_catalogue_rows as rules
cross join by_type
left join lacking
    on rules.rule_id = lacking.rule_id and by_type.vehicle_type = lacking.vehicle_type
left join counted
    on rules.rule_id = counted.rule_id and by_type.vehicle_type = counted.vehicle_type
