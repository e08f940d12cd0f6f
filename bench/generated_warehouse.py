"""A large warehouse made by PostgreSQL itself, day by day: a hundred times as fast as loading it.

A sixth of the vehicles has a trip in each hour, a sixteenth of these an anomaly, each fiftieth
vehicle tells codes. Fuel falls over four days of trips and is filled up then.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final, LiteralString

import psycopg
from rich.progress import Progress

from fleet_assets.warehouse.load import make_months

DAY: Final = timedelta(days=1)


def fill(postgres_url: str, first: datetime, vehicles: int, days: int) -> None:
    """Fills the tables that marts are made of, and the ledger.

    Args:
        postgres_url: a migrated warehouse with vehicles `V-00000`, `V-00001` and so on.
        first: midnight of the first day, UTC.
        vehicles: how many.
        days: how many.
    """
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        make_months(connection, _TABLES, first, first + days * DAY)
        connection.execute(_RULES)
    with Progress() as progress, ThreadPoolExecutor(2) as pool:
        task = progress.add_task("days", total=days * len(_TABLES))

        def work(table: str) -> None:
            with psycopg.connect(postgres_url, autocommit=True) as connection:
                connection.execute("set synchronous_commit = off")
                connection.execute("set session_replication_role = replica")
                for number in range(days):
                    given = {"start": first + number * DAY, "vehicles": vehicles}
                    connection.execute(_HOURS + _TABLES[table], given)
                    progress.advance(task)

        list(pool.map(work, _TABLES))


_RULES: Final[LiteralString] = """
insert into warehouse.rule_catalogue (
    rule_id, anomaly_type, title, severity, stage, rule_version, release
) values
    ('R06', 'harsh_braking', 'Harsh braking', 'high', 'live', 1, 1),
    ('R10', 'harsh_acceleration', 'Harsh acceleration', 'high', 'live', 1, 1),
    ('R18', 'over_speeding', 'Speeding', 'high', 'live', 1, 1),
    ('R22', 'engine_overheat', 'Overheating', 'high', 'live', 1, 1),
    ('R28', 'fuel_loss', 'Loss of fuel', 'high', 'live', 1, 1)
"""
_HOURS: Final[LiteralString] = """
with hours as (
    select
        to_char(hour_start, 'YYYY-MM-DD"T"HH24') as event_hour,
        hour_start,
        (extract(epoch from hour_start) / 3600)::bigint as hour_number
    from generate_series(%(start)s, %(start)s + interval '23 hours', interval '1 hour')
        as hours (hour_start)
),
vehicles as (
    select n, 'V-' || lpad(n::text, 5, '0') as vehicle_id
    from generate_series(0, %(vehicles)s - 1) as numbers (n)
),
seen as (
    select *, 600 + hashint8(hour_number * 100000 + n)::bigint %% 1500 + 1500 as engine
    from hours cross join vehicles
),
driving as (
    select
        *,
        rpad(replace(event_hour, '-', '') || lpad(n::text, 6, '0'), 32, '0') as trip_id,
        -- each trip of a vehicle takes 2 percent, and four days of trips a tank
        (hour_number / 6 + n) %% 16 as trip_number
    from hours cross join vehicles
    where (hour_number + n) %% 6 = 0
),
odd as (
    select
        *,
        (hour_number / 6 + n / 16) %% 4 as kind,
        (array['R06', 'R10', 'R18', 'R22'])[(hour_number / 6 + n / 16) %% 4 + 1] as rule_id,
        rpad(replace(event_hour, '-', '') || lpad(n::text, 6, '0'), 32, 'a') as anomaly_id
    from driving
    where (n / 6 + hour_number) %% 16 = 0
)
"""
_ANOMALY: Final[LiteralString] = """
    event_hour, hour_start, anomaly_id, finding_id, vehicle_id, anomaly_type, condition, rule_id,
    rule_version, severity, severity_history, confidence, started_at, ended_at, detected_at, state,
    evidence, description, recommended_action
"""
_ANOMALY_VALUES: Final[LiteralString] = """
    event_hour, hour_start, anomaly_id, anomaly_id, vehicle_id,
    (array['harsh_braking', 'harsh_acceleration', 'over_speeding', 'engine_overheat'])[kind + 1],
    'R06', rule_id, 1, 'high', jsonb_build_array(jsonb_build_object('rule_id', rule_id)),
    0.9, hour_start + interval '10 minutes', hour_start + interval '11 minutes',
    hour_start + interval '11 minutes', 'closed',
    '{"unit": "g", "peak": -0.52, "limit": 0.45, "signals": {"speed": 31.5, "accel_y": -0.52}}',
    'a sentence that says what was seen, and by how much it is beyond what it may be', 'look at it'
"""
_TABLES: Final[Mapping[str, LiteralString]] = {
    "vehicle_hours": """
        insert into warehouse.vehicle_hours (
            event_hour, hour_start, vehicle_id, messages, conflicts, first_event_time,
            last_event_time, seconds_seen, distance_miles, engine_seconds, idle_seconds,
            moving_seconds, fuel_used_gallons, speed_avg_mph, speed_max_mph, rpm_avg, rpm_max,
            coolant_max_c
        )
        select
            event_hour, hour_start, vehicle_id, 3600, 0, hour_start,
            hour_start + interval '59 minutes', 3600, engine * 0.008, engine, engine * 0.2,
            engine * 0.8, engine * 0.0008, engine / 100.0, 70, 1500, 3000, 90
        from seen
        order by hour_start, vehicle_id
    """,
    "vehicle_outcomes": """
        insert into warehouse.vehicle_outcomes (
            event_hour, hour_start, vehicle_id, read, accepted, duplicate, rejected, pending,
            rejected_by_reason, newest_append_time
        )
        select
            event_hour, hour_start, vehicle_id, 3610, 3600, 5, 5, 0, '{"future": 5}',
            hour_start + interval '59 minutes'
        from seen
        order by hour_start, vehicle_id
    """,
    "telemetry_outcomes": """
        insert into warehouse.telemetry_outcomes (
            event_hour, hour_start, kafka_topic_id, kafka_partition, offset_start, offset_end,
            landing_version, read, accepted, duplicate, rejected, pending, rejected_by_reason
        )
        select
            event_hour, hour_start, 'bench', 0, hour_number * 1000000000,
            (hour_number + 1) * 1000000000, 1, 3610 * %(vehicles)s, 3600 * %(vehicles)s,
            5 * %(vehicles)s, 5 * %(vehicles)s, 0,
            jsonb_build_object('future', 5 * %(vehicles)s)
        from hours
    """,
    "rule_eligibility": """
        insert into warehouse.rule_eligibility (
            event_hour, hour_start, vehicle_id, ineligible, usual_interval_seconds
        )
        select
            event_hour, hour_start, vehicle_id,
            case when n %% 5 = 0 then '{"R28": "tank_gallons is not known"}'::jsonb else '{}' end, 1
        from seen
        order by hour_start, vehicle_id
    """,
    "trips": """
        insert into warehouse.trips (
            event_hour, hour_start, trip_id, vehicle_id, trip_kind, started_at, ended_at, state,
            samples, gps_miles, speed_miles, driver_id, is_private, fuel_start_percent,
            fuel_end_percent, fuel_noise_percent, fuel_coverage, fuel_used_percent
        )
        select
            event_hour, hour_start, trip_id, vehicle_id, 'motion', hour_start,
            hour_start + interval '59 minutes', 'closed', 3540, 40, 40, 'driver-' || n %% 3000,
            false, 90 - 2 * trip_number, 88 - 2 * trip_number, 0.3, 1,
            1.5 + (hashint8(hour_number * 100000 + n)::bigint %% 100 + 100) / 130.0
        from driving
        order by hour_start, trip_id
    """,
    "anomalies": f"""
        insert into warehouse.anomalies ({_ANOMALY}, source, revision)
        select {_ANOMALY_VALUES}, 'rule', 0 from odd order by hour_start, anomaly_id
    """,
    "rule_anomalies": f"""
        insert into warehouse.rule_anomalies ({_ANOMALY}, stage, release, closes_at)
        select {_ANOMALY_VALUES}, 'live', 1, hour_start + interval '12 minutes' from odd
        order by hour_start, anomaly_id
    """,
    "vehicle_codes": """
        insert into warehouse.vehicle_codes (
            event_hour, hour_start, vehicle_id, code, first_seen, last_seen
        )
        select
            event_hour, hour_start, vehicle_id, code, hour_start, hour_start + interval '59 minutes'
        from seen
        cross join unnest(array['P0171', null]) as codes (code)
        -- each vehicle is without its code for some days, once a month
        where n %% 50 = 0 and (code is null or (hour_number / 24 + n / 50) %% 30 >= 3)
        order by vehicle_id, hour_start
    """,
    "stage_ledger": """
        insert into warehouse.stage_ledger (
            stage, event_hour, hour_start, processed_version, state, rows, first_processed_at,
            processed_at, last_run_at
        )
        select
            'warehouse', event_hour, hour_start, 1, 'fresh', %(vehicles)s, clock_timestamp(),
            clock_timestamp(), clock_timestamp()
        from hours
    """,
}  # fmt: skip
