{#-
    Tests of tables that grow look only at what this run touched. dbt allows no macros in a test's
    `where`, so there `in_touched_hours(column)` and `in_touched_days(column)` are replaced here.
-#}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where', '') -%}
    {%- if not where -%}
        {{ return(relation) }}
    {%- endif -%}
    {%- set found = modules.re.match('^in_touched_(hours|days)[(]([a-z_]+)[)]$', where) -%}
    {%- if found -%}
        {%- set macro = in_touched_hours if found.group(1) == 'hours' else in_touched_days -%}
        {%- set where = macro(found.group(2)) -%}
    {%- endif -%}
    (select * from {{ relation }} where {{ where }}) as touched
{%- endmacro %}
