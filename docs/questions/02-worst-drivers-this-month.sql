-- Which drivers score worst in the newest month?
-- plot: barh driver_id score
with newest as (
    select max(month_local) as month_local from marts.mart_driver_scores
)

select
    scores.driver_id,
    round(scores.score::numeric, 1) as score,
    round(scores.scored_miles::numeric) as scored_miles,
    scores.harsh_brakings,
    scores.harsh_accelerations,
    scores.harsh_cornerings,
    scores.over_speedings
from marts.mart_driver_scores as scores
inner join newest on scores.month_local = newest.month_local
where scores.score is not null
order by scores.score, scores.driver_id
limit 20
