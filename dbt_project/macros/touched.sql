{#-
    Only touched windows are rebuilt. The var touched_hours holds [start, end) pairs of whole
    hours; a model deletes its window in a pre-hook and appends it again in the same transaction,
    so readers see the old rows or the new ones. The predicates are literal, because PostgreSQL
    then plans only the partitions that they name (a MERGE plans them all).

    dbt parses the whole project anew whenever --vars differ from those of the last run, so the
    platform hands the same list over as JSON in FLEET_DBT_TOUCHED_HOURS; a var wins over it.
    It is read only while executing: dbt would else note it as an input of the parse.

    Trips and findings follow the hours at a pace of their own. What rests on them asks for a topic of
    warehouse.mart_marks; its hours stand in FLEET_DBT_MARKED_HOURS, or in the var marked_hours. Topics
    may be joined: `hours+rule_hours` are the touched hours and those marked for rules.
-#}

{% macro given_windows(topic='hours') %}
    {%- set windows = [] -%}
    {%- for each in topic.split('+') -%}
        {%- set some = given_hours() if each == 'hours' else given_marks(each) -%}
        {%- if some is none -%}
            {{ return(none) }}
        {%- endif -%}
        {%- do windows.extend(some) -%}
    {%- endfor -%}
    {{ return(windows) }}
{% endmacro %}

{% macro given_hours() %}
    {%- set windows = var('touched_hours', none) -%}
    {%- if windows is none and execute -%}
        {%- set windows = fromjson(env_var('FLEET_DBT_TOUCHED_HOURS', 'null')) -%}
    {%- endif -%}
    {{ return(windows) }}
{% endmacro %}

{% macro given_marks(topic) %}
    {%- set marks = var('marked_hours', none) -%}
    {%- if marks is none and execute -%}
        {%- set marks = fromjson(env_var('FLEET_DBT_MARKED_HOURS', 'null')) -%}
    {%- endif -%}
    {{ return(none if marks is none else marks.get(topic, [])) }}
{% endmacro %}

{#- The pairs, widened to whole UTC days if asked so; none: everything. -#}
{% macro touched_windows(whole_days=false, topic='hours') %}
    {%- set windows = none if follows_anew() else given_windows(topic) -%}
    {%- if windows is none or (model.resource_type == 'model' and not is_incremental()) -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set found = [] -%}
    {%- for start, end in windows -%}
        {%- do check_whole_hour(start) -%}
        {%- do check_whole_hour(end) -%}
        {%- if whole_days -%}
            {%- set last = moment_of(end) - modules.datetime.timedelta(seconds=1) -%}
            {%- set next_day = last.date() + modules.datetime.timedelta(days=1) -%}
            {%- do found.append((start[:10] ~ 'T00:00:00Z', next_day.isoformat() ~ 'T00:00:00Z')) -%}
        {%- else -%}
            {%- do found.append((start, end)) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}

{% macro check_whole_hour(moment) %}
    {%- if not modules.re.match('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:00:00Z$', moment) -%}
        {%- do exceptions.raise_compiler_error(
            "touched_hours: '" ~ moment ~ "' is not a whole hour such as 2026-01-01T05:00:00Z"
        ) -%}
    {%- endif -%}
{% endmacro %}

{#-
    The pairs, widened to whole local days that may have a touched hour, whatever the time zone: the
    clocks of the world are between 12 hours behind and 14 hours ahead of UTC. Given as midnights.
-#}
{% macro touched_local_days(topic='hours') %}
    {%- set windows = touched_windows(topic=topic) -%}
    {%- if windows is none -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set found = [] -%}
    {%- for start, end in windows -%}
        {%- set first = moment_of(start) - modules.datetime.timedelta(hours=12) -%}
        {%- set last = moment_of(end) + modules.datetime.timedelta(hours=14, seconds=-1) -%}
        {%- set after = last.date() + modules.datetime.timedelta(days=1) -%}
        {%- do found.append(
            (first.date().isoformat() ~ 'T00:00:00Z', after.isoformat() ~ 'T00:00:00Z')
        ) -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}

{% macro moment_of(text) %}
    {{ return(modules.datetime.datetime.strptime(text, '%Y-%m-%dT%H:%M:%SZ')) }}
{% endmacro %}

{#- A timestamptz column lies in a touched hour. -#}
{% macro in_touched_hours(column, topic='hours') -%}
    {{ in_windows(column, touched_windows(topic=topic), 'timestamptz') }}
{%- endmacro %}

{#- A timestamptz column lies in a UTC day that a touched hour belongs to. -#}
{% macro in_hours_of_touched_days(column, topic='hours') -%}
    {{ in_windows(column, touched_windows(true, topic), 'timestamptz') }}
{%- endmacro %}

{#- A date column is a UTC day that a touched hour belongs to. -#}
{% macro in_touched_days(column, topic='hours') -%}
    {{ in_windows(column, touched_windows(true, topic), 'date') }}
{%- endmacro %}

{#- A date column is a local day that may have a touched hour. -#}
{% macro in_touched_local_days(column, topic='hours') -%}
    {{ in_windows(column, touched_local_days(topic), 'date') }}
{%- endmacro %}

{#- A timestamptz column lies in an hour that may belong to such a local day. -#}
{% macro in_hours_of_touched_local_days(column, topic='hours') -%}
    {%- set days = touched_local_days(topic) -%}
    {%- set found = none if days is none else [] -%}
    {%- for start, end in days or [] -%}
        {%- set first = moment_of(start) - modules.datetime.timedelta(hours=14) -%}
        {%- set last = moment_of(end) + modules.datetime.timedelta(hours=12) -%}
        {%- do found.append((first.isoformat() ~ 'Z', last.isoformat() ~ 'Z')) -%}
    {%- endfor -%}
    {{ in_windows(column, found, 'timestamptz') }}
{%- endmacro %}

{% macro in_windows(column, windows, type) -%}
    {%- if windows is none -%}
        true
    {%- elif windows | length == 0 -%}
        false
    {%- else -%}
        {%- set length = 10 if type == 'date' else 20 -%}
        (
        {%- for start, end in windows -%}
            ({{ column }} >= {{ type }} '{{ start[:length] }}'
            and {{ column }} < {{ type }} '{{ end[:length] }}')
            {%- if not loop.last %} or {% endif -%}
        {%- endfor -%}
        )
    {%- endif -%}
{%- endmacro %}

{#- For a pre-hook: forget what is about to be appended. `--empty` builds no rows, so it must
    not delete any either. -#}
{% macro forget(predicate) -%}
    {%- if is_incremental() and not flags.EMPTY -%}
        delete from {{ this }} where {{ predicate }}
    {%- endif -%}
{%- endmacro %}
