select
    event_hour,
    hour_start,
    vehicle_id,
    code,
    first_seen,
    last_seen
from {{ source('warehouse', 'vehicle_codes') }}
