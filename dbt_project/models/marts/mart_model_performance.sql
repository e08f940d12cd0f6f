{#- A view, so that what late data or people's words make of history shows at once. -#}
{{ config(materialized='view') }}

with model_hours_rows as (
    select * from {{ ref('stg_model_hours') }}
),

model_anomalies_rows as (
    select * from {{ ref('stg_model_anomalies') }}
),

anomalies_rows as (
    select * from {{ ref('stg_anomalies') }}
),

verdicts as (
    select * from {{ ref('int_anomaly_verdicts') }}
),

versions as (
    select * from {{ ref('stg_vehicle_versions') }}
),

judged as (
    select
        model_id,
        stage,
        vehicle_group,
        (hour_start at time zone 'UTC')::date as date_utc,
        sum(windows)::bigint as windows,
        sum(unscored_windows)::bigint as unscored_windows,
        sum(alarm_windows)::bigint as alarm_windows,
        max(vehicles) as most_vehicles,
        max(unknown_vehicles) as most_unknown_vehicles,
        max(score_p99) as score_p99
    from model_hours_rows
    group by model_id, stage, vehicle_group, (hour_start at time zone 'UTC')::date
),

rule_findings as (
    select distinct finding_id
    from anomalies_rows
    where source = 'rule'
),

each_one as (
    select
        anomalies.model_id,
        anomalies.stage,
        anomalies.confidence,
        rules.finding_id,
        verdicts.is_true,
        (anomalies.started_at at time zone 'UTC')::date as date_utc,
        coalesce(versions.vehicle_type, 'fleet') as vehicle_group,
        extract(epoch from anomalies.detected_at - anomalies.started_at) as delay_seconds
    from model_anomalies_rows as anomalies
    left join versions
        on
            anomalies.vehicle_id = versions.vehicle_id
            and anomalies.hour_start >= versions.valid_from
            and anomalies.hour_start < versions.valid_to
    left join anomalies_rows as shown
        on
            anomalies.hour_start = shown.hour_start
            and anomalies.anomaly_id = shown.anomaly_id
    left join rule_findings as rules
        on shown.finding_id = rules.finding_id
    left join verdicts on anomalies.anomaly_id = verdicts.anomaly_id
),

found as (
    select
        date_utc,
        model_id,
        stage,
        vehicle_group,
        count(*) as anomalies,
        count(finding_id) as also_by_rules,
        count(is_true) as marked,
        count(*) filter (where not is_true) as marked_false,
        percentile_cont(0.5) within group (order by delay_seconds) as median_delay_seconds,
        avg(confidence) as mean_confidence
    from each_one
    group by date_utc, model_id, stage, vehicle_group
)

select
    judged.date_utc,
    judged.model_id,
    judged.stage,
    judged.vehicle_group,
    judged.windows,
    judged.most_vehicles,
    judged.most_unknown_vehicles,
    judged.unscored_windows,
    judged.alarm_windows,
    judged.score_p99,
    found.median_delay_seconds,
    found.mean_confidence,
    judged.windows * 10 / 3600.0::double precision as vehicle_hours,
    judged.alarm_windows::double precision / nullif(judged.windows, 0) as share_alarm_windows,
    coalesce(found.anomalies, 0) as anomalies,
    coalesce(found.anomalies, 0) * 360 / nullif(judged.windows, 0)::double precision
        as anomalies_per_vehicle_hour,
    coalesce(found.also_by_rules, 0) as also_by_rules,
    coalesce(found.marked, 0) as marked,
    found.marked_false::double precision / nullif(found.marked, 0) as share_false
from judged
left join found
    on
        judged.date_utc = found.date_utc
        and judged.model_id = found.model_id
        and judged.stage = found.stage
        and judged.vehicle_group = found.vehicle_group
