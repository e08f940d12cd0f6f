"""Keys that several messages claim: who wins, who is rejected, what is counted anew.

With all messages at hand the whole key is resolved again. When its raw messages have expired, the
row that won and the rejects that lost stand for them: rows and totals come out the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from fleet_assets.contracts.tables import TELEMETRY
from fleet_assets.telemetry.decode import decode
from fleet_assets.telemetry.resolve import (
    ACCEPTED,
    ARRIVAL,
    CONFLICTING,
    KEY,
    SETTLED,
    conflict_rejects,
    resolve,
)
from fleet_assets.telemetry.wire_form import wire_form

_BEFORE_ALL = -1
"""Arrival of the row that stands for expired messages: before any message."""


@dataclass(frozen=True)
class Contest:
    """Outcome for a set of contested keys.

    Attributes:
        kept: rows of `telemetry`, one per key.
        rejects: rejects as conflicting duplicates, all of each key.
        counted: verdicts with the weight that they count with.
    """

    kept: pl.DataFrame
    rejects: pl.DataFrame
    counted: list[tuple[pl.DataFrame, int]]


def contest_of_messages(before: pl.DataFrame, mine: pl.DataFrame) -> Contest:
    """Resolves the keys from all of their messages.

    Args:
        before: decoded messages that were taken in earlier.
        mine: decoded messages that are new.
    """
    after = resolve(pl.concat([before, mine], how="diagonal"))
    counted = [(resolve(before).verdicts, -1), (after.verdicts, 1)]
    return Contest(after.kept, conflict_rejects(after.verdicts), counted)


def contest_of_rows(present: pl.DataFrame, lost: pl.DataFrame, mine: pl.DataFrame) -> Contest:
    """Resolves the keys from what is left of their earlier messages.

    A present row that loses becomes a reject. Its message's bytes and coordinates are gone, so the
    reject has the row in wire form and the coordinates of the message that it lost to, which is
    counted as the rejected one: totals and the accounts of each range still add up.

    Args:
        present: rows of `telemetry`.
        lost: rejects as conflicting duplicates.
        mine: decoded messages that are new.
    """
    rows = _as_messages(_decoded_again(present), mine)
    losers = decode(lost.select("event_hour", *KEY, "value")).rows.drop("i")
    known = pl.concat(
        [losers, lost.select(*ARRIVAL, "append_time", "key", "value", "replay_of")],
        how="horizontal",
    )
    settled = pl.concat([rows, known], how="diagonal").with_columns(pl.lit(True).alias(SETTLED))
    claimed = mine.with_columns(pl.lit(False).alias(SETTLED))
    after = resolve(pl.concat([settled, claimed], how="diagonal"))
    verdicts = after.verdicts
    is_row = pl.col("landing_version") == _BEFORE_ALL
    is_mine = ~pl.col(SETTLED)
    beaten = verdicts.filter(is_row & (pl.col("verdict") == CONFLICTING))
    winners = verdicts.filter(is_mine & (pl.col("verdict") == ACCEPTED))
    counted = verdicts.filter(is_mine).with_columns(
        verdict=pl.when(pl.col("verdict") == ACCEPTED)
        .then(pl.lit(CONFLICTING))
        .otherwise("verdict")
    )
    displaced = winners.drop("value", "key", "replay_of").join(
        beaten.select(*KEY, "value", "key", "replay_of"), on=KEY
    )
    rejects = pl.concat(
        [
            conflict_rejects(verdicts.filter(~is_row)),
            conflict_rejects(
                displaced.with_columns(verdict=pl.lit(CONFLICTING)),
                " (an earlier message, whose bytes have expired, as its row says)",
            ),
        ],
        how="diagonal",
    )
    return Contest(after.kept, rejects, [(counted, 1)])


def _decoded_again(present: pl.DataFrame) -> pl.DataFrame:
    """Rows as the present registry reads them: a key may have become a signal since."""
    messages = present.select("event_hour", *KEY, value=wire_form(present))
    return decode(messages).rows.drop("i").with_columns(conflict=present["conflict"])


def _as_messages(present: pl.DataFrame, like: pl.DataFrame) -> pl.DataFrame:
    """Rows of telemetry in the columns of decoded messages, arrived before all others."""
    others = {name: kind for name, kind in like.schema.items() if name not in TELEMETRY.names}
    stand_ins = {
        "value": pl.lit(wire_form(present)),
        "key": pl.lit(None),
        "replay_of": pl.lit(None),
        "kafka_topic_id": pl.lit(""),
        "append_time": pl.col("event_time"),
    }
    return present.select(
        *TELEMETRY.names,
        *(
            stand_ins.get(name, pl.lit(_BEFORE_ALL)).cast(kind).alias(name)
            for name, kind in others.items()
        ),
    ).select(like.columns)
