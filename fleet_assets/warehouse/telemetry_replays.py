"""`warehouse.telemetry_replays`: what became of each replay, and whether its origin is a reject.

It is written with an hour's load, from the lake: the hour's messages that name an origin, and the
hour's rejects. Once raw has expired, what is known of a replay stays and only its outcome follows
the rejects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import polars as pl
import psycopg

from fleet_assets.contracts.reasons import NO_VEHICLE
from fleet_assets.lake.store import Lake
from fleet_assets.telemetry.coordinates import COORDINATES, Coordinates, parts_of
from fleet_assets.warehouse.connection import transact
from fleet_assets.warehouse.ledger import load_again
from partitions.hours import hour_start

ORIGIN: Final = ["origin_topic_id", "origin_partition", "origin_offset"]
_SCHEMA: Final = {
    "event_hour": pl.String(),
    "vehicle_id": pl.String(),
    "kafka_topic_id": pl.String(),
    "kafka_partition": pl.Int32(),
    "kafka_offset": pl.Int64(),
    "reject_reason": pl.String(),
    "origin_topic_id": pl.String(),
    "origin_partition": pl.Int32(),
    "origin_offset": pl.Int64(),
    "origin_event_hour": pl.String(),
    "origin_vehicle_id": pl.String(),
    "origin_rejected": pl.Boolean(),
}


def note_replays(
    connection: psycopg.Connection, lake: Lake, event_hour: str, counted: int, mark: int
) -> int:
    """Brings the replays of an hour, and those of its rejects, up to what the lake holds.

    An hour whose rejects are resolved by a replay elsewhere, or no longer are, is marked as
    loaded anew, so that the marts count it again.

    Args:
        connection: the transaction of the hour's load.
        lake: the lake.
        event_hour: the hour.
        counted: messages of the hour that its outcomes count as replays.
        mark: version of `raw_telemetry` that the hour has taken in.

    Returns:
        The number of replays that are known of the hour.
    """
    touching = _select(
        connection, "event_hour = %(hour)s or origin_event_hour = %(hour)s", hour=event_hour
    )
    known = touching.filter(pl.col("event_hour") == event_hour)
    if not counted and touching.is_empty():
        return 0
    refused = lake.open("telemetry_rejects").read(event_hour, columns=[*COORDINATES, "reason"])
    new = _landed(lake, event_hour, mark) if counted else pl.DataFrame(schema=_SCHEMA)
    new = new.join(known, on=COORDINATES, how="anti")
    replays = pl.concat([known, _with_origins(connection, lake, new)])
    replays = (
        replays.drop("reject_reason")
        .join(refused.rename({"reason": "reject_reason"}), on=COORDINATES, how="left")
        .select(list(_SCHEMA))
    )
    changed = replays.join(known, on=list(_SCHEMA), how="anti", nulls_equal=True)
    _upsert(connection, changed)
    _judge_origins(connection, touching, event_hour, refused)
    elsewhere = changed["origin_event_hour"].drop_nulls().unique().to_list()
    load_again(connection, [hour for hour in elsewhere if hour != event_hour])
    return replays.height


def replays_loaded(
    postgres_url: str, origins: Sequence[Coordinates]
) -> Iterator[tuple[Coordinates, Coordinates]]:
    """Origin and place of every known replay of these."""
    found = transact(
        postgres_url,
        lambda connection: _select(
            connection,
            "concat_ws('/', origin_topic_id, origin_partition, origin_offset) = any(%(origins)s)",
            origins=[str(origin) for origin in origins],
        ),
    )
    for row in found.select(*ORIGIN, *COORDINATES).iter_rows():
        yield Coordinates(*row[:3]), Coordinates(*row[3:])


def _landed(lake: Lake, event_hour: str, mark: int) -> pl.DataFrame:
    raw = lake.open("raw_telemetry")
    taken_in = (pl.col("landing_version") <= mark) & pl.col("replay_of").is_not_null()
    files_where = None
    if "null_count.replay_of" in raw.files.columns:
        files_where = (pl.col("null_count.replay_of") < pl.col("num_records")).fill_null(True)
    columns = ["event_hour", "vehicle_id", *COORDINATES, "replay_of"]
    found = raw.read(event_hour, columns=columns, where=taken_in, files_where=files_where)
    return found.with_columns(
        pl.col("vehicle_id").fill_null(NO_VEHICLE),
        *(
            part.cast(_SCHEMA[name]).alias(name)
            for name, part in zip(ORIGIN, parts_of(pl.col("replay_of")), strict=True)
        ),
        reject_reason=pl.lit(None, dtype=pl.String),
        origin_event_hour=pl.lit(None, dtype=pl.String),
        origin_vehicle_id=pl.lit(None, dtype=pl.String),
        origin_rejected=pl.lit(False),
    ).select(list(_SCHEMA))  # fmt: skip


def _with_origins(connection: psycopg.Connection, lake: Lake, new: pl.DataFrame) -> pl.DataFrame:
    """With hour and vehicle of each origin, if it is a reject that a vehicle sent."""
    if new.is_empty():
        return new
    texts = [str(Coordinates(*row)) for row in new.select(ORIGIN).unique().iter_rows()]
    hours = connection.execute(
        "select distinct origin_event_hour from warehouse.reject_replays"
        " where concat_ws('/', origin_topic_id, origin_partition, origin_offset) = any(%s)",
        (texts,),
    ).fetchall()
    rejects = lake.open("telemetry_rejects")
    columns = ["event_hour", "vehicle_id", *COORDINATES, "replay_of"]
    is_theirs = pl.col("kafka_offset").is_in(new["origin_offset"].unique().to_list())
    noted = pl.col("event_hour").is_in([hour for (hour,) in hours])

    def found(files_where: pl.Expr) -> pl.DataFrame:
        rows = rejects.read(columns=columns, where=is_theirs, files_where=files_where)
        return rows.filter(pl.col("replay_of").is_null()).select(
            pl.col("event_hour").alias("origin_event_hour"),
            pl.col("vehicle_id").fill_null(NO_VEHICLE).alias("origin_vehicle_id"),
            *(pl.col(a).alias(b) for a, b in zip(COORDINATES, ORIGIN, strict=True)),
            origin_rejected=pl.lit(True),
        )

    origins = found(noted)
    if new.join(origins, on=ORIGIN, how="anti").height:  # sent by somebody else's tool
        origins = pl.concat([origins, found(~noted)])
    plain = new.drop("origin_event_hour", "origin_vehicle_id", "origin_rejected")
    return (
        plain.join(origins, on=ORIGIN, how="left")
        .with_columns(pl.col("origin_rejected").fill_null(False))
        .select(list(_SCHEMA))
    )


def _judge_origins(
    connection: psycopg.Connection, touching: pl.DataFrame, event_hour: str, refused: pl.DataFrame
) -> None:
    """A reject whose vehicle was registered, or that wins a conflict, is none any more."""
    origins = touching.filter(pl.col("origin_event_hour") == event_hour)
    there = refused.select(
        *(pl.col(a).alias(b) for a, b in zip(COORDINATES, ORIGIN, strict=True)),
        rejected=pl.lit(True),
    )
    now = origins.join(there, on=ORIGIN, how="left").with_columns(
        pl.col("rejected").fill_null(False)
    )
    changed = now.filter(pl.col("rejected") != pl.col("origin_rejected"))
    with connection.cursor() as cursor:
        cursor.executemany(
            "update warehouse.telemetry_replays set origin_rejected = %s"
            " where origin_topic_id = %s and origin_partition = %s and origin_offset = %s",
            changed.select("rejected", *ORIGIN).unique().rows(),
        )


def _select(connection: psycopg.Connection, where: str, **values: Any) -> pl.DataFrame:
    statement = f"select {', '.join(_SCHEMA)} from warehouse.telemetry_replays where {where}"
    rows = connection.execute(statement, values).fetchall()
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _upsert(connection: psycopg.Connection, rows: pl.DataFrame) -> None:
    values = [
        {
            **row,
            "hour_start": hour_start(row["event_hour"]),
            "origin_hour_start": row["origin_event_hour"] and hour_start(row["origin_event_hour"]),
        }
        for row in rows.iter_rows(named=True)
    ]
    names = [*_SCHEMA, "hour_start", "origin_hour_start"]
    statement = (
        f"insert into warehouse.telemetry_replays ({', '.join(names)})"
        f" values ({', '.join(f'%({name})s' for name in names)})"
        " on conflict (kafka_topic_id, kafka_partition, kafka_offset) do update set"
        " reject_reason = excluded.reject_reason"
    )
    with connection.cursor() as cursor:
        cursor.executemany(statement, values)
