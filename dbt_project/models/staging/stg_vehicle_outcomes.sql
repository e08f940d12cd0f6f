select
    event_hour,
    hour_start,
    vehicle_id,
    read,
    accepted,
    duplicate,
    rejected,
    pending,
    rejected_by_reason,
    late,
    replayed,
    newest_append_time
from {{ source('warehouse', 'vehicle_outcomes') }}
