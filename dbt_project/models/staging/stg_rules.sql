select
    rule_id,
    anomaly_type,
    title,
    severity,
    stage,
    rule_version,
    release
from {{ source('warehouse', 'rule_catalogue') }}
