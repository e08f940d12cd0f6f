-- How far does each fleet drive, week by week? (the last 12 weeks)
-- plot: line week_start miles fleet_id
with newest as (
    select max(date_local) as day from marts.mart_fleet_days
)

select
    dates.week_start,
    days.fleet_id,
    round(sum(days.distance_miles)::numeric, 1) as miles,
    round((sum(days.engine_seconds) / 3600)::numeric, 1) as engine_hours,
    round(
        (sum(days.idle_seconds) / nullif(sum(days.engine_seconds), 0))::numeric, 3
    ) as idle_share
from marts.mart_fleet_days as days
inner join marts.dim_dates as dates on days.date_local = dates.date_day
where days.date_local > (select newest.day - 84 from newest)
group by dates.week_start, days.fleet_id
order by dates.week_start, days.fleet_id
