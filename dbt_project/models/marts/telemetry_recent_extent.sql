{{ config(materialized='view', post_hook="{{ for_all_readers() }}") }}

select
    full_from,
    minutes_from,
    is_cut,
    bytes,
    most_bytes,
    loaded_at
from {{ source('warehouse', 'telemetry_recent_extent') }}
