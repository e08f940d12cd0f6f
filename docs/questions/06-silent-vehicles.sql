-- Which active vehicles are silent, and since when?
-- plot: barh vehicle_id silent_hours
select
    vehicle_id,
    fleet_id,
    last_seen_at,
    round((silent_seconds / 3600)::numeric, 1) as silent_hours
from marts.mart_fleet_health
where is_silent and status = 'active'
order by silent_seconds desc nulls first
limit 50
