select distinct on (coalesce(current_id, anomaly_id))
    is_true,
    note,
    coalesce(current_id, anomaly_id) as anomaly_id
from {{ ref('stg_anomaly_feedback') }}
order by coalesce(current_id, anomaly_id) asc, feedback_id desc
