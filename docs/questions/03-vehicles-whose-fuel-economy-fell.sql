-- Which vehicles burn more than before? (two weeks against the four before them, 50 miles in each)
-- plot: barh vehicle_id change_share
with newest as (
    select max(date_local) as day from marts.mart_fleet_days
),

periods as (
    select
        economy.vehicle_id,
        economy.date_local > (select newest.day - 14 from newest) as is_recent,
        sum(economy.distance_with_fuel_miles) as miles,
        sum(economy.fuel_used_gallons) as gallons
    from marts.mart_fuel_efficiency as economy
    where economy.date_local > (select newest.day - 42 from newest)
    group by economy.vehicle_id, is_recent
    having sum(economy.distance_with_fuel_miles) >= 50 and sum(economy.fuel_used_gallons) > 0
)

select
    recent.vehicle_id,
    round((earlier.miles / earlier.gallons)::numeric, 1) as mpg_before,
    round((recent.miles / recent.gallons)::numeric, 1) as mpg_now,
    round(
        (recent.miles / recent.gallons / (earlier.miles / earlier.gallons) - 1)::numeric, 3
    ) as change_share
from periods as recent
inner join periods as earlier on recent.vehicle_id = earlier.vehicle_id
where recent.is_recent and not earlier.is_recent
order by change_share
limit 20
