-- When was fuel filled in, and when did it go while nobody drove? (the last 30 days)
-- plot: points started_at level_change_percent kind
with newest as (
    select max(date_local) as day from marts.mart_fleet_days
)

select
    events.started_at,
    events.vehicle_id,
    events.kind,
    events.during,
    round(events.level_change_percent::numeric, 1) as level_change_percent,
    round(events.level_change_gallons::numeric, 1) as level_change_gallons,
    events.driver_id
from marts.fct_fuel_events as events
where events.date_local > (select newest.day - 30 from newest)
order by events.started_at desc
limit 100
