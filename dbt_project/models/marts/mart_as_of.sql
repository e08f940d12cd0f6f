{{ config(materialized='view', post_hook="{{ for_all_readers() }}") }}

with builds as (
    select * from {{ source('warehouse', 'mart_builds') }}
),

finished as (
    select
        max(as_of) filter (where is_whole) as as_of,
        coalesce(max(build_id), 0) as build_id
    from builds
    where finished_at is not null
)

select
    finished.as_of,
    finished.build_id,
    min(unfinished.as_of) is null as is_consistent,
    min(unfinished.as_of) as building_since
from finished
left join builds as unfinished
    on finished.build_id < unfinished.build_id and unfinished.finished_at is null
group by finished.as_of, finished.build_id
