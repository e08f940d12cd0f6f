{#- A view: when Kafka gets a change is noted after the marts are built. -#}
{{ config(materialized='view', post_hook="{{ for_fleet_readers() }}") }}

with changes as (
    select * from {{ ref('stg_anomaly_changes') }}
),

anomalies as (
    select * from {{ ref('fct_anomalies') }}
    where {{ visible('fleet_id') }}
),

-- one that went and came back is known since the first time
opened as (
    select distinct on (anomaly_id)
        anomaly_id,
        changed_at as known_at,
        published_at
    from changes
    where kind = 'opened'
    order by anomaly_id asc, change_id asc
)

select
    anomalies.anomaly_id,
    anomalies.vehicle_id,
    anomalies.fleet_id,
    anomalies.anomaly_type,
    anomalies.severity,
    anomalies.source,
    anomalies.rule_id,
    anomalies.started_at,
    anomalies.detected_at,
    opened.known_at,
    opened.published_at,
    extract(epoch from anomalies.detected_at - anomalies.started_at)::double precision
        as detect_seconds,
    extract(epoch from opened.known_at - anomalies.detected_at)::double precision as load_seconds,
    extract(epoch from opened.published_at - opened.known_at)::double precision
        as publish_seconds,
    extract(epoch from opened.published_at - anomalies.started_at)::double precision
        as total_seconds,
    opened.known_at - anomalies.detected_at < interval '1 hour' as is_live
from opened
inner join anomalies on opened.anomaly_id = anomalies.anomaly_id
