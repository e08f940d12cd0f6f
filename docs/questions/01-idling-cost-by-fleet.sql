-- What does idling cost each fleet? (the last 30 days)
-- plot: bar fleet_id idle_cost
with newest as (
    select max(date_local) as day from marts.mart_fleet_days
)

select
    cost.fleet_id,
    cost.currency,
    round(sum(cost.idle_cost)::numeric, 2) as idle_cost,
    round(sum(cost.idle_gallons)::numeric, 1) as idle_gallons,
    round((sum(cost.idle_seconds) / nullif(sum(cost.engine_seconds), 0))::numeric, 3) as idle_share
from marts.mart_idling_cost as cost
cross join newest
where cost.date_local > newest.day - 30
group by cost.fleet_id, cost.currency
order by idle_cost desc nulls last
