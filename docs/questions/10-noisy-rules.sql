-- Which rules are loud, and which do people mark false?
-- plot: barh rule episodes_per_1000_hours
select
    rule_id || ' ' || title as rule,
    sum(episodes) as episodes,
    round((sum(episodes) / nullif(sum(eligible_vehicle_hours), 0) * 1000)::numeric, 2)
        as episodes_per_1000_hours,
    sum(marked) as marked,
    round(
        (sum(share_false * marked) / nullif(sum(marked) filter (where share_false is not null), 0))
        ::numeric, 3
    ) as share_false
from marts.mart_rule_performance
group by rule_id, title
having sum(episodes) > 0
order by episodes_per_1000_hours desc nulls last
limit 20
