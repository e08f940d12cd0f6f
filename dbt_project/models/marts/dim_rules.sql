{{ config(materialized='view') }}

with rule_catalogue_rows as (
    select * from {{ source('warehouse', 'rule_catalogue') }}
)

select
    rule_id,
    anomaly_type,
    title,
    severity,
    stage,
    rule_version,
    release
from rule_catalogue_rows
