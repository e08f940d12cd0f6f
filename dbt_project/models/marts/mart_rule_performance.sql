{{ config(materialized='view') }}

with hours as (
    select * from {{ ref('mart_rule_hours') }}
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

versions as (
    select * from {{ ref('stg_vehicle_versions') }}
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

-- what was said last of each
verdicts as (
    select distinct on (coalesce(current_id, anomaly_id))
        is_true,
        coalesce(current_id, anomaly_id) as anomaly_id
    from anomaly_feedback_rows
    order by coalesce(current_id, anomaly_id), feedback_id desc
),

said as (
    select
        versions.vehicle_type,
        step.value ->> 'rule_id' as rule_id,
        count(*) as marked,
        count(*) filter (where not verdicts.is_true) as marked_false
    from verdicts
    inner join rule_anomalies_rows as anomalies
        on verdicts.anomaly_id = anomalies.anomaly_id
    inner join versions
        on
            anomalies.vehicle_id = versions.vehicle_id
            and anomalies.started_at >= versions.valid_from
            and anomalies.started_at < versions.valid_to
    cross join lateral jsonb_array_elements(anomalies.severity_history) as step
    group by versions.vehicle_type, step.value ->> 'rule_id'
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
from rule_catalogue_rows as rules
cross join by_type
left join by_rule
    on rules.rule_id = by_rule.rule_id and by_type.vehicle_type = by_rule.vehicle_type
left join said
    on rules.rule_id = said.rule_id and by_type.vehicle_type = said.vehicle_type
