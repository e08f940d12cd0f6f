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
    cross join newest
    where days.date_local > newest.day - 84
    group by dates.iso_weekday
)

select
    dates.weekday_name,
    harsh.kind,
    count(*) as events,
    round((count(*) / nullif(min(miles.miles), 0) * 100)::numeric, 3) as per_100_miles
from marts.fct_harsh_events as harsh
inner join marts.dim_dates as dates on harsh.date_local = dates.date_day
inner join miles on dates.iso_weekday = miles.iso_weekday
cross join newest
where harsh.date_local > newest.day - 84
group by dates.iso_weekday, dates.weekday_name, harsh.kind
order by dates.iso_weekday, harsh.kind
