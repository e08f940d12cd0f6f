-- Which trouble codes stand now, in how many vehicles, and for how long?
-- plot: barh code vehicles
select
    code,
    code_system,
    count(distinct vehicle_id) as vehicles,
    min(first_seen_at) as standing_since,
    max(last_seen_at) as last_seen_at
from marts.fct_fault_codes
where is_standing
group by code, code_system
order by vehicles desc, code
limit 20
