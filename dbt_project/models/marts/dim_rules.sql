{{ config(materialized='view', post_hook="{{ for_all_readers() }}") }}

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
