-- Which share of each fleet's vehicles is in use, day by day? (the last 30 days; unseen is unknown)
-- plot: line date_local used_share fleet_id
with newest as (
    select max(date_local) as day from marts.mart_fleet_days
)

select
    days.date_local,
    days.fleet_id,
    sum(days.vehicles_seen) as vehicles_seen,
    sum(days.vehicles_used) as vehicles_used,
    round(sum(days.vehicles_used) / nullif(sum(days.vehicles_seen), 0), 3) as used_share
from marts.mart_type_days as days
where days.date_local > (select newest.day - 30 from newest)
group by days.date_local, days.fleet_id
order by days.date_local, days.fleet_id
