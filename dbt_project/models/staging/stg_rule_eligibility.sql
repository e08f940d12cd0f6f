select
    event_hour,
    hour_start,
    vehicle_id,
    ineligible,
    usual_interval_seconds
from {{ source('warehouse', 'rule_eligibility') }}
