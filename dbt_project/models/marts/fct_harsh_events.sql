{#- A view, so that what late data or a change of the rules makes of history shows at once. -#}
{{ config(materialized='view', post_hook="{{ for_fleet_readers() }}") }}

with harsh as (
    select
        *,
        evidence ->> 'unit' as unit
    from {{ ref('fct_anomalies') }}
    where
        anomaly_type in ('harsh_braking', 'harsh_acceleration', 'harsh_cornering')
        and source = 'rule'
        -- several within minutes are an anomaly of their own, made of events that stand here
        and rule_id not in ('R08', 'R11', 'R14')
        and {{ visible('fleet_id') }}
)

select
    anomaly_id,
    finding_id,
    vehicle_id,
    trip_id,
    driver_id,
    fleet_id,
    vehicle_type,
    date_local,
    event_hour,
    hour_start,
    started_at,
    duration_seconds,
    rule_id,
    severity,
    confidence,
    marked_true,
    replace(anomaly_type, 'harsh_', '') as kind,
    case when unit = 'g' then (evidence ->> 'peak')::double precision end as peak_g,
    case when unit = 'g' then (evidence ->> 'limit')::double precision end as limit_g,
    (evidence -> 'signals' ->> 'speed')::double precision as speed_mph
from harsh
