select
    feedback_id,
    marked_at,
    marked_by,
    anomaly_id,
    current_id,
    is_true,
    note,
    vehicle_id,
    rule_id,
    condition,
    started_at,
    ended_at
from {{ source('warehouse', 'anomaly_feedback') }}
