{{ config(materialized='view', post_hook="{{ for_fleet_readers() }}") }}

select
    revision_id,
    build_id,
    as_of,
    revised_at,
    mart,
    date_day,
    fleet_id,
    measure,
    value_before,
    value_after,
    cause,
    hours,
    value_after - value_before as value_change
from {{ source('warehouse', 'mart_revisions') }}
where {{ visible('fleet_id') }}
