{#-
    Tests of tables that grow look only at what this run touched. dbt allows no macros in a test's
    `where`, so there `in_touched_hours(column)` and the like are replaced here.
-#}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where', '') -%}
    {%- if not where -%}
        {{ return(relation) }}
    {%- endif -%}
    {%- set found = modules.re.match('^in_touched_(hours|days|local_days)[(]([a-z_]+)(?:, ([a-z_+]+))?[)]$', where) -%}
    {%- if found -%}
        {%- set macro = {
            'hours': in_touched_hours,
            'days': in_touched_days,
            'local_days': in_touched_local_days,
        }[found.group(1)] -%}
        {%- set where = macro(found.group(2), found.group(3) or 'hours') -%}
    {%- endif -%}
    (select * from {{ relation }} where {{ where }}) as touched
{%- endmacro %}
