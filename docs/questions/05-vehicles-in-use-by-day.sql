-- Which share of each fleet's vehicles is in use, day by day? (the last 30 days; unseen is unknown)
-- plot: line date_local used_share fleet_id
with newest as (
    select max(date_local) as day from marts.mart_fleet_days
)

select
    use.date_local,
    use.fleet_id,
    count(*) filter (where use.is_seen) as vehicles_seen,
    count(*) filter (where use.is_used) as vehicles_used,
    round(
        (count(*) filter (where use.is_used))::numeric
        / nullif(count(*) filter (where use.is_seen), 0), 3
    ) as used_share
from marts.mart_utilisation as use
cross join newest
where use.date_local > newest.day - 30
group by use.date_local, use.fleet_id
order by use.date_local, use.fleet_id
