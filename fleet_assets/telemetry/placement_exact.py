"""Placing any message: what every way of writing, and every way of writing wrongly, comes to.

This is the definition. It reads each message several times, so `placement` gives it only those that
are not plainly right; tests hold the two together.
"""

from __future__ import annotations

import json

import polars as pl
import pyarrow as pa

from fleet_assets.telemetry.engine import connect
from fleet_assets.telemetry.time_policy import TimePolicy

_ZONED = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?\s*([Zz]|[+-]\d{2}(:?\d{2})?)$"
_NAIVE = r"^\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?)?$"
_EPOCH_MS = r"^-?\d{1,17}(\.\d*)?$"
_WORD = "CASE WHEN {0} IN ('UBIGINT', 'BIGINT', 'DOUBLE') THEN 'number' ELSE lower({0}) END"
_LAST_EPOCH_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z


_PLACE = f"""
WITH texts AS (
    SELECT i, append_time, key, value, try(decode(value)) AS text FROM messages
),
valid AS (
    SELECT *, coalesce(json_valid(text), false) AS is_json,
        regexp_matches(text, ',\\s*[}}\\]]') AS trailing_comma
    FROM texts
),
found AS (
    SELECT i, append_time, key, value, text, is_json, trailing_comma,
        CASE WHEN is_json THEN json_type(text) END AS root,
        CASE WHEN is_json THEN json_type(text, ['/vehicle_id', '/timestamp']) END AS types,
        CASE WHEN is_json THEN json_extract_string(text, ['/vehicle_id', '/timestamp']) END AS v
    FROM valid
),
parsed AS (
    SELECT i, append_time, key, value, text, is_json, trailing_comma, root, types,
        v[1] AS vehicle_id, v[2] AS ts,
        CASE
            WHEN types[2] = 'VARCHAR' AND regexp_matches(v[2], '{_ZONED}')
                THEN try_cast(upper(replace(v[2], ',', '.')) AS TIMESTAMPTZ)
            WHEN types[2] IN ('UBIGINT', 'BIGINT', 'DOUBLE', 'VARCHAR')
                AND regexp_matches(v[2], '{_EPOCH_MS}')
                AND abs(try_cast(v[2] AS DOUBLE)) <= {_LAST_EPOCH_MS}
                THEN make_timestamptz(CAST(round(try_cast(v[2] AS DOUBLE) * 1000) AS BIGINT))
        END AS event_time
    FROM found
)
SELECT i, trailing_comma AND is_json AS doubtful,
    CASE WHEN types[1] = 'VARCHAR' AND length(vehicle_id) BETWEEN 1 AND 128
        AND NOT regexp_matches(vehicle_id, '[\\x00-\\x1f\\x7f]') THEN vehicle_id
    END AS vehicle_id,
    event_time,
    CASE
        WHEN value IS NULL OR octet_length(value) = 0 THEN 'empty'
        WHEN text IS NULL THEN 'not_utf8'
        WHEN NOT is_json THEN 'invalid_json'
        WHEN root <> 'OBJECT' THEN 'not_an_object'
        WHEN types[1] IS NULL OR types[1] = 'NULL' THEN 'missing_vehicle_id'
        WHEN types[1] <> 'VARCHAR' OR length(vehicle_id) NOT BETWEEN 1 AND 128
            OR regexp_matches(vehicle_id, '[\\x00-\\x1f\\x7f]') THEN 'invalid_vehicle_id'
        WHEN key IS NOT NULL AND key <> encode(vehicle_id) THEN 'key_mismatch'
        WHEN types[2] IS NULL OR types[2] = 'NULL' THEN 'missing_timestamp'
        WHEN types[2] = 'VARCHAR' AND regexp_matches(ts, '{_NAIVE}') THEN 'naive_timestamp'
        WHEN event_time IS NULL THEN 'invalid_timestamp'
        WHEN event_time > append_time + $future THEN 'future'
        WHEN event_time < $start THEN 'ancient'
        WHEN $lateness IS NOT NULL AND event_time < append_time - $lateness THEN 'too_late'
    END AS reject_reason,
    CASE
        WHEN value IS NULL THEN 'a null value (tombstone)'
        WHEN octet_length(value) = 0 THEN 'no bytes'
        WHEN text IS NULL THEN octet_length(value) || ' bytes that are not UTF-8'
        WHEN NOT is_json THEN 'not one JSON value: ' || left(text, 80)
        WHEN root <> 'OBJECT'
            THEN 'a JSON ' || {_WORD.format("root")} || ' where an object is expected'
        WHEN types[1] IS NULL THEN 'no key vehicle_id'
        WHEN types[1] = 'NULL' THEN 'vehicle_id is null'
        WHEN types[1] <> 'VARCHAR' THEN 'vehicle_id is a JSON ' || {_WORD.format("types[1]")}
        WHEN length(vehicle_id) NOT BETWEEN 1 AND 128
            OR regexp_matches(vehicle_id, '[\\x00-\\x1f\\x7f]')
            THEN 'vehicle_id has ' || length(vehicle_id) || ' characters or unprintable ones'
        WHEN key IS NOT NULL AND key <> encode(vehicle_id)
            THEN 'vehicle_id ' || vehicle_id || ', key ' || left(CAST(key AS VARCHAR), 128)
        WHEN types[2] IS NULL THEN 'no key timestamp'
        WHEN types[2] = 'NULL' THEN 'timestamp is null'
        ELSE 'timestamp ' || left(ts, 64) || ', arrival ' || CAST(append_time AS VARCHAR)
    END AS detail
FROM parsed
ORDER BY i
"""


def place_exactly(messages: pl.DataFrame, policy: TimePolicy) -> pl.DataFrame:
    """Vehicle and event time of each message, or the reason why it is refused.

    Args:
        messages: columns `append_time` (UTC), `key` and `value` (binary).
        policy: which times are accepted.

    Returns:
        Rows in the same order with `event_time`, `vehicle_id`, `reject_reason` and
        `reject_detail`; `event_time` is kept where it could be read.
    """
    numbered = messages.select("append_time", "key", "value").with_row_index("i")
    with connect() as db:
        db.register("messages", numbered.to_arrow(compat_level=pl.CompatLevel.oldest()))
        parameters = {
            "future": policy.future_tolerance,
            "start": policy.partitions_start,
            "lateness": policy.max_lateness,
        }
        table: pa.Table = db.sql(_PLACE, params=parameters).to_arrow_table()
    found = _reject_trailing_commas(pl.DataFrame(pl.from_arrow(table)), messages["value"])
    refused = pl.col("reject_reason").is_not_null()
    return found.select(
        pl.col("event_time").dt.cast_time_unit("us").dt.convert_time_zone("UTC"),
        "vehicle_id",
        "reject_reason",
        pl.when(refused).then("detail").alias("reject_detail"),
    )


def _reject_trailing_commas(placed: pl.DataFrame, values: pl.Series) -> pl.DataFrame:
    """DuckDB's reader lets a trailing comma pass; the few candidates are read strictly."""
    doubtful = placed.filter("doubtful")["i"].to_list()
    wrong = [i for i in doubtful if not _is_strict_json(values[i])]
    if not wrong:
        return placed
    is_wrong = pl.col("i").is_in(wrong)
    return placed.with_columns(
        pl.when(is_wrong)
        .then(pl.lit("invalid_json"))
        .otherwise("reject_reason")
        .alias("reject_reason"),
        pl.when(is_wrong)
        .then(pl.lit("not one JSON value: a trailing comma"))
        .otherwise("detail")
        .alias("detail"),
        pl.when(~is_wrong).then("vehicle_id").alias("vehicle_id"),
        pl.when(~is_wrong).then("event_time").alias("event_time"),
    )


def _is_strict_json(value: bytes) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    except RecursionError:  # deep nesting is judged when the message is decoded
        return True
    return True
