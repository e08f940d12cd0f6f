{#-
    Subqueries in place of CTEs: PostgreSQL does not merge a view that has CTEs into what reads it.
    Names of models in place of them cannot have an alias in `dbt run --empty`.
-#}
select
    anomalies.hour_start,
    anomalies.anomaly_id,
    versions.vehicle_type,
    step.value ->> 'rule_id' as rule_id
from (select * from {{ ref('stg_rule_anomalies') }}) as anomalies
inner join (select * from {{ ref('stg_vehicle_versions') }}) as versions  -- noqa: ST05
    on
        anomalies.vehicle_id = versions.vehicle_id
        and anomalies.started_at >= versions.valid_from
        and anomalies.started_at < versions.valid_to
cross join lateral jsonb_array_elements(anomalies.severity_history) as step
