"""Placing a message: which vehicle, which moment, which hour, or why it cannot be placed.

This is all that landing decodes. What is decided here depends on the arrival of a message and on
settings, so it is stored with the raw row and never decided again.

A message that is plainly right (one JSON object, a plain identifier, a time as nearly everybody
writes it, accepted by the policy) is parsed once. Whatever is not goes to `placement_exact`, which
tells every reason; for a message that is plainly right both come to the same.
"""

from __future__ import annotations

from typing import Final

import duckdb
import polars as pl
import pyarrow as pa

from fleet_assets.telemetry.engine import connect
from fleet_assets.telemetry.placement_exact import place_exactly
from fleet_assets.telemetry.time_policy import ANY_TIME, TimePolicy

_PLAIN_ID = r'^"[ !#-\[\]-~]{1,128}"$'  # printable ASCII that JSON does not escape
_PLAIN_TIME = (
    r'^"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"$'
)
_PLAIN_EPOCH_MS = r"^[1-9][0-9]{0,12}$"
_TRAILING_COMMA = r",[ \t\r\n]*[}\]]"  # DuckDB's reader would let it pass
_ARROW: Final = pl.CompatLevel.oldest()

_PARSE = """
SELECT i, v[1] AS id, v[2] AS time,
    try_cast(substr(v[2], 2, length(v[2]) - 2) AS TIMESTAMPTZ) AS written_time
FROM (SELECT i, json_extract({json}, ['/vehicle_id', '/timestamp']) AS v FROM texts)
"""


def place(messages: pl.DataFrame, policy: TimePolicy) -> pl.DataFrame:
    """Finds vehicle, event time and event hour of each message.

    Args:
        messages: columns `append_time` (UTC), `key`, `value` (binary) and any others. Without
            `replay_of` they are no replays.
        policy: which times are accepted.

    Returns:
        The messages in the same order with `event_time`, `vehicle_id`, `reject_reason`,
        `event_hour` and `reject_detail` added. What is refused lies under the hour of its
        arrival; `event_time` is kept where it could be read.
    """
    if "replay_of" not in messages.columns:
        messages = messages.with_columns(replay_of=pl.lit(None, dtype=pl.String))
    plain = _place_plain(messages, policy)
    right = plain["right"]
    placed = plain.drop("right")
    if not right.all():
        placed = _filled_in(placed, right, place_exactly(messages.filter(~right), policy))
    refused = pl.col("reject_reason").is_not_null()
    arrival = pl.max_horizontal("append_time", pl.lit(policy.partitions_start))
    moment = pl.when(refused).then(arrival).otherwise("event_time")
    return pl.concat([messages, placed], how="horizontal").select(
        *messages.columns,
        "event_time",
        "vehicle_id",
        "reject_reason",
        moment.map_batches(_event_hours, return_dtype=pl.String).alias("event_hour"),
        "reject_detail",
    )


def _place_plain(messages: pl.DataFrame, policy: TimePolicy) -> pl.DataFrame:
    """Places what is plainly `right`; the other rows mean nothing."""
    texts = _texts(messages["value"]).to_frame("text")
    parsed = _parsed(texts)
    written = pl.col("written_time").dt.cast_time_unit("us").dt.convert_time_zone("UTC")
    epoch = pl.col("time").str.contains(_PLAIN_EPOCH_MS)
    epoch_ms = pl.when(epoch).then("time").cast(pl.Int64)
    return (
        pl.concat([messages.select("append_time", "key"), texts, parsed], how="horizontal")
        .with_columns(
            event_time=pl.when(pl.col("time").str.contains(_PLAIN_TIME))
            .then(written)
            .otherwise((epoch_ms * 1000).cast(pl.Datetime("us", "UTC"))),
            vehicle_id=pl.col("id").str.strip_chars('"'),
        )
        .select(
            "event_time",
            "vehicle_id",
            pl.lit(None, pl.String).alias("reject_reason"),
            pl.lit(None, pl.String).alias("reject_detail"),
            right=pl.all_horizontal(
                pl.col("id").str.contains(_PLAIN_ID),
                ~pl.col("text").str.contains(_TRAILING_COMMA),
                pl.col("key").is_null() | (pl.col("key") == pl.col("vehicle_id").cast(pl.Binary)),
                *_accepted(policy),
            ).fill_null(value=False),
        )
    )


def _texts(values: pl.Series) -> pl.Series:
    """UTF-8 texts; null where the bytes are none."""
    try:
        return values.cast(pl.String)
    except pl.exceptions.ComputeError:  # some are not, and Polars has no cast that says which
        numbered = values.to_frame("value").with_row_index("i")
        with connect() as db:
            db.register("given", numbered.to_arrow(compat_level=_ARROW))
            table = db.sql("SELECT i, try(decode(value)) AS text FROM given").to_arrow_table()
        return _in_order(table)["text"]


def _parsed(texts: pl.DataFrame) -> pl.DataFrame:
    """`id` and `time` of each text as JSON, `written_time` as a moment.

    Where all are JSON, one parse does; the first that is not ends it soon, and each is then parsed
    twice. (`try` around json_extract would go through all neighbours of a broken one row by row.)
    """
    with connect() as db:
        db.register("texts", texts.with_row_index("i").to_arrow(compat_level=_ARROW))
        try:
            table = db.sql(_PARSE.format(json="text")).to_arrow_table()
        except (duckdb.Error, UnicodeDecodeError):  # its message may cut a character in two
            table = db.sql(_PARSE.format(json="try_cast(text AS JSON)")).to_arrow_table()
    return _in_order(table)


def _in_order(table: pa.Table) -> pl.DataFrame:
    rows = pl.DataFrame(pl.from_arrow(table))
    return rows if rows["i"].is_sorted() else rows.sort("i")


def _accepted(policy: TimePolicy) -> list[pl.Expr]:
    """What the policy asks of `event_time`; null where there is none."""
    lateness = pl.col("append_time") - pl.col("event_time")
    conditions = [
        pl.col("event_time") >= policy.partitions_start,
        lateness >= -policy.future_tolerance,
    ]
    if policy.max_lateness is not None:
        conditions.append(lateness <= policy.max_lateness)
    return conditions


def _filled_in(placed: pl.DataFrame, right: pl.Series, exact: pl.DataFrame) -> pl.DataFrame:
    """The rows that are not right, replaced by those of `exact` in their order."""
    order = pl.concat([right.arg_true(), (~right).arg_true()]).arg_sort()
    return pl.concat([placed.filter(right), exact])[order]


def _event_hours(moments: pl.Series) -> pl.Series:
    """Keys of hours; writing each hour once costs a tenth of writing it for each message."""
    hours = moments.dt.truncate("1h").alias("hour")
    keys = hours.unique().to_frame().with_columns(key=pl.col("hour").dt.strftime("%Y-%m-%dT%H"))
    return hours.to_frame().join(keys, on="hour", how="left", maintain_order="left")["key"]


__all__ = ["ANY_TIME", "TimePolicy", "place"]
