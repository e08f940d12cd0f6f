-- What does idling cost each fleet? (the last 30 days)
-- plot: bar fleet_id idle_cost
with newest as (
    select max(date_local) as day from marts.mart_fleet_days
)

select
    days.fleet_id,
    costs.currency,
    round(
        sum(days.idle_seconds / 3600 * costs.idle_gallons_per_hour * costs.price_per_gallon)
        ::numeric, 2
    ) as idle_cost,
    round(sum(days.idle_seconds / 3600 * costs.idle_gallons_per_hour)::numeric, 1) as idle_gallons,
    round((sum(days.idle_seconds) / nullif(sum(days.engine_seconds), 0))::numeric, 3) as idle_share
from marts.mart_type_days as days
left join marts.idling_costs as costs on days.vehicle_type = costs.vehicle_type
where days.date_local > (select newest.day - 30 from newest)
group by days.fleet_id, costs.currency
order by idle_cost desc nulls last
