select
    event_hour,
    hour_start,
    model_id,
    vehicle_group,
    stage,
    vehicles,
    unknown_vehicles,
    windows,
    unscored_windows,
    alarm_windows,
    score_median,
    score_p99,
    score_most
from {{ source('warehouse', 'model_hours') }}
