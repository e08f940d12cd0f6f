select
    event_hour,
    hour_start,
    vehicle_id,
    reject_reason,
    origin_topic_id,
    origin_partition,
    origin_offset,
    origin_hour_start,
    origin_vehicle_id,
    origin_rejected
from {{ source('warehouse', 'telemetry_replays') }}
