{#-
    The migration creates this table, as dbt cannot create one that is partitioned by month; hence
    full_refresh=false: dbt never replaces it.
-#}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
    meta={"follows": "anomalies"},
    pre_hook="{{ forget(in_touched_hours('hour_start', 'anomalies')) }}"
) }}

with anomalies_rows as (
    select * from {{ ref('stg_anomalies') }}
    where {{ in_touched_hours('hour_start', 'anomalies') }}
),

trips_rows as (
    select * from {{ ref('stg_trips') }}
),

verdicts as (
    select * from {{ ref('int_anomaly_verdicts') }}
),

versions as (
    select * from {{ ref('stg_vehicle_versions') }}
)

select
    anomalies.anomaly_id,
    anomalies.finding_id,
    anomalies.vehicle_id,
    trip.trip_id,
    trip.started_at as trip_started_at,
    trip.driver_id,
    anomalies.anomaly_type,
    anomalies.rule_id,
    anomalies.rule_version,
    anomalies.model_id,
    anomalies.source,
    anomalies.severity,
    anomalies.severity_history,
    anomalies.confidence,
    anomalies.started_at,
    anomalies.ended_at,
    anomalies.detected_at,
    anomalies.state,
    anomalies.revision,
    anomalies.continues_id,
    anomalies.evidence,
    anomalies.description,
    anomalies.recommended_action,
    verdict.is_true as marked_true,
    verdict.note as marked_note,
    anomalies.event_hour,
    anomalies.hour_start,
    versions.fleet_id,
    versions.vehicle_type,
    (anomalies.started_at at time zone coalesce(versions.time_zone, 'UTC'))::date as date_local,
    extract(epoch from anomalies.ended_at - anomalies.started_at)::double precision
        as duration_seconds
from anomalies_rows as anomalies
left join versions
    on
        anomalies.vehicle_id = versions.vehicle_id
        and anomalies.started_at >= versions.valid_from
        and anomalies.started_at < versions.valid_to
left join lateral (
    select
        found.trip_id,
        found.started_at,
        found.ended_at,
        found.driver_id
    from trips_rows as found
    where
        found.vehicle_id = anomalies.vehicle_id
        and found.trip_kind = 'motion'
        and found.started_at <= anomalies.started_at
        and found.hour_start <= anomalies.hour_start
    order by found.started_at desc
    limit 1
-- outside: a search for one that lasts until then would go through all trips before
) as trip on anomalies.started_at <= trip.ended_at
-- `limit`: each one by the index; a join would take the newest of all that was ever said
left join lateral (
    select
        said.is_true,
        said.note
    from verdicts as said
    where said.anomaly_id = anomalies.anomaly_id
    order by said.anomaly_id
    limit 1
) as verdict on true
