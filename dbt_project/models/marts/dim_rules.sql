{{ config(materialized='view', post_hook="{{ for_all_readers() }}") }}

with rules as (
    select * from {{ ref('stg_rules') }}
)

select
    rule_id,
    anomaly_type,
    title,
    severity,
    stage,
    rule_version,
    release
from rules
