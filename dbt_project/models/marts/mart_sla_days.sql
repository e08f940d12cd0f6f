{{ config(materialized='view', post_hook="{{ for_fleet_readers() }}") }}

with delays as (
    select * from {{ ref('mart_anomaly_delays') }}
    where {{ visible('fleet_id') }}
)

select
    (known_at at time zone 'UTC')::date as date_utc,
    fleet_id,
    severity,
    count(*) filter (where is_live) as anomalies,
    count(*) filter (where not is_live) as of_history,
    count(*) filter (where published_at is null) as unpublished,
    {%- for step in ('detect', 'load', 'publish', 'total') %}
        percentile_cont(0.5) within group (order by {{ step }}_seconds) filter (where is_live)
            as {{ step }}_p50_seconds,
        percentile_cont(0.95) within group (order by {{ step }}_seconds) filter (where is_live)
            as {{ step }}_p95_seconds
        {%- if not loop.last %},{% endif -%}
    {%- endfor %}
from delays
group by (known_at at time zone 'UTC')::date, fleet_id, severity
