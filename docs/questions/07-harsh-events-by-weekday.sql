-- On which weekdays do drivers brake, accelerate and corner hard? (the last 12 weeks, per 100 miles)
-- plot: bar weekday_name per_100_miles kind
with newest as (
    select max(date_local) as day from marts.mart_fleet_days
),

miles as (
    select
        dates.iso_weekday,
        sum(days.distance_miles) as miles
    from marts.mart_fleet_days as days
    inner join marts.dim_dates as dates on days.date_local = dates.date_day
    where days.date_local > (select newest.day - 84 from newest)
    group by dates.iso_weekday
),

events as (
    select
        harsh.date_local,
        harsh.kind,
        count(*) as events
    from marts.fct_harsh_events as harsh
    where harsh.date_local > (select newest.day - 84 from newest)
    group by harsh.date_local, harsh.kind
)

select
    dates.weekday_name,
    events.kind,
    sum(events.events) as events,
    round((sum(events.events) / nullif(min(miles.miles), 0) * 100)::numeric, 3) as per_100_miles
from events
inner join marts.dim_dates as dates on events.date_local = dates.date_day
inner join miles on dates.iso_weekday = miles.iso_weekday
group by dates.iso_weekday, dates.weekday_name, events.kind
order by dates.iso_weekday, events.kind
