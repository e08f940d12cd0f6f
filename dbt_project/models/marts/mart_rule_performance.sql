{{ config(materialized='view') }}

with hours as (
    select * from {{ ref('mart_rule_hours') }}
),

reached as (
    select * from {{ ref('int_reached_tiers') }}
),

verdicts as (
    select * from {{ ref('int_anomaly_verdicts') }}
),

rules as (
    select * from {{ ref('stg_rules') }}
),

by_rule as (
    select
        vehicle_type,
        rule_id,
        sum(hours_seen) as hours_seen,
        sum(hours_ineligible) as hours_ineligible,
        sum(episodes)::bigint as episodes
    from hours
    group by vehicle_type, rule_id
),

by_type as (
    select
        vehicle_type,
        hours_seen
    from by_rule
    where rule_id = '(all)'
),

said as (
    select
        reached.vehicle_type,
        reached.rule_id,
        count(*) as marked,
        count(*) filter (where not verdicts.is_true) as marked_false
    from verdicts
    inner join reached on verdicts.anomaly_id = reached.anomaly_id
    group by reached.vehicle_type, reached.rule_id
)

select
    rules.rule_id,
    rules.anomaly_type,
    rules.title,
    rules.severity,
    rules.stage,
    by_type.vehicle_type,
    by_type.hours_seen - coalesce(by_rule.hours_ineligible, 0) as eligible_vehicle_hours,
    coalesce(by_rule.episodes, 0) as episodes,
    coalesce(by_rule.episodes, 0) * 1000
    / nullif(by_type.hours_seen - coalesce(by_rule.hours_ineligible, 0), 0)
        as episodes_per_1000_hours,
    coalesce(said.marked, 0) as marked,
    said.marked_false::double precision / nullif(said.marked, 0) as share_false
from rules
cross join by_type
left join by_rule
    on rules.rule_id = by_rule.rule_id and by_type.vehicle_type = by_rule.vehicle_type
left join said
    on rules.rule_id = said.rule_id and by_type.vehicle_type = said.vehicle_type
