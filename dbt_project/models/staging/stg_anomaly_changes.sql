select
    change_id,
    changed_at,
    anomaly_id,
    kind,
    payload,
    published_at
from {{ source('warehouse', 'anomaly_changes') }}
