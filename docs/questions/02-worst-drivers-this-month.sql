-- Which drivers score worst in the newest month?
-- plot: barh driver_id score
select
    scores.driver_id,
    round(scores.score::numeric, 1) as score,
    round(scores.scored_miles::numeric) as scored_miles,
    scores.harsh_brakings,
    scores.harsh_accelerations,
    scores.harsh_cornerings,
    scores.over_speedings
from marts.mart_driver_scores as scores
where
    scores.month_local = (select max(days.month_local) from marts.mart_driver_days as days)
    and scores.score is not null
order by scores.score, scores.driver_id
limit 20
