"""Law 1 proved by counting again: every message is accounted for.

The outcomes are compared with what the files themselves hold: offsets of the landed ranges, raw
rows, telemetry rows, reject rows. None of these counts comes from the outcomes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from fleet_assets.lake.expired import expired_hours, expired_rows
from fleet_assets.lake.gaps import Gap, gaps
from fleet_assets.lake.landing import newest_unrecorded
from fleet_assets.lake.marks import agree, mark_of
from fleet_assets.lake.store import Lake, TableSnapshot


@dataclass(frozen=True)
class Account:
    """The counts of one hour from two independent sides.

    Attributes:
        read, accepted, duplicate, rejected: sums of the outcomes.
        raw_rows, telemetry_rows, reject_rows: rows in the tables, with those that have gone.
        in_line: all tables of the hour have taken in the same messages (else it is mid-way).
        pending: raw rows that the hour has not taken in yet.
    """

    event_hour: str
    read: int
    accepted: int
    duplicate: int
    rejected: int
    raw_rows: int
    telemetry_rows: int
    reject_rows: int
    pending: int
    in_line: bool

    @property
    def differences(self) -> list[str]:
        """Each count that does not agree, in words; empty: all agree."""
        if not self.in_line:
            return ["the hour's tables stand at different versions: a refresh was cut off"]
        pairs = {
            "messages in raw_telemetry, less pending": (self.raw_rows - self.pending, self.read),
            "rows of telemetry": (self.telemetry_rows, self.accepted),
            "rows of telemetry_rejects": (self.reject_rows, self.rejected),
            "accepted + duplicate + rejected": (
                self.accepted + self.duplicate + self.rejected,
                self.read,
            ),
        }
        return [f"{what}: {a:,}, outcomes say {b:,}" for what, (a, b) in pairs.items() if a != b]


def account(lake: Lake, event_hours: list[str]) -> list[Account]:
    """Counts hours from both sides."""
    # outcomes first: what lands meanwhile is then counted as pending, not as missing
    outcomes = lake.open("telemetry_outcomes")
    telemetry, rejects = lake.open("telemetry"), lake.open("telemetry_rejects")
    vehicles, raw = lake.open("vehicle_outcomes"), lake.open("raw_telemetry")
    names = ["read", "accepted", "duplicate", "rejected"]
    accounts = []
    for hour in event_hours:
        truth = mark_of(telemetry, hour)
        follow = all(agree(truth, mark_of(table, hour)) for table in (rejects, outcomes, vehicles))
        sums = outcomes.read(hour, columns=names).sum().row(0, named=True)
        accounts.append(
            Account(
                hour,
                **sums,
                raw_rows=_rows(raw, hour) + expired_rows(raw, hour),
                telemetry_rows=_rows(telemetry, hour) + expired_rows(telemetry, hour),
                reject_rows=_rows(rejects, hour) + expired_rows(rejects, hour),
                pending=_pending(raw, hour, -1 if truth.version is None else truth.version),
                in_line=follow,
            )
        )
    return accounts


def offset_differences(lake: Lake, known: Iterable[Gap] | None = None) -> list[str]:
    """Ranges of offsets that overlap, leave a gap, lost messages, or hold other counts than raw.

    Args:
        lake: the lake.
        known: gaps as the warehouse knows them, with what was acknowledged; None: those of the
            lake, of which none is.
    """
    # raw first: what lands meanwhile then stands in landings, where it can be left out
    raw = lake.open("raw_telemetry")
    landings = _recorded(lake, raw)
    ordered = landings.sort("kafka_topic_id", "kafka_partition", "offset_start")
    partition = ["kafka_topic_id", "kafka_partition"]
    breaks = ordered.with_columns(before=pl.col("offset_end").shift(1).over(partition)).filter(
        pl.col("before") != pl.col("offset_start")
    )
    found = [
        f"partition {row['kafka_partition']}: a range begins at {row['offset_start']:,}, the one"
        f" before ended at {row['before']:,}"
        for row in breaks.iter_rows(named=True)
    ]
    found += [str(gap) for gap in (gaps(lake) if known is None else known) if gap.is_open]
    held = pl.col("offset_end") - pl.col("offset_start") - pl.col("holes") - pl.col("lost")
    expected = landings.select(held.sum()).item()
    rows = 0 if raw.files.is_empty() else int(raw.files["num_records"].sum())
    rows += sum(expired_rows(raw, hour) for hour in expired_hours(lake, raw))
    if rows != expected:
        found.append(f"raw_telemetry has {rows:,} rows, the landed ranges hold {expected:,}")
    return found


def _recorded(lake: Lake, raw: TableSnapshot) -> pl.DataFrame:
    """The landed ranges up to this version of raw, also what is only noted in its last commit."""
    landings = lake.open("landings")
    unrecorded = pl.DataFrame(
        newest_unrecorded(raw, landings), schema=landings.contract.polars_schema
    )
    return pl.concat([landings.read(), unrecorded]).filter(pl.col("landing_version") <= raw.version)


def _rows(table: TableSnapshot, hour: str) -> int:
    if table.files.is_empty():
        return 0
    return int(table.files.filter(pl.col("event_hour") == hour)["num_records"].sum())


def _pending(raw: TableSnapshot, hour: str, mark: int) -> int:
    """Rows after the mark; a file is read only if the mark lies within it (a compacted one)."""
    if raw.files.is_empty():
        return 0
    wholly = pl.col("min.landing_version") > mark
    newer = raw.files.filter((pl.col("event_hour") == hour) & wholly)
    partly = raw.read(
        hour,
        columns=["landing_version"],
        where=pl.col("landing_version") > mark,
        files_where=(pl.col("max.landing_version") > mark) & ~wholly,
    )
    return int(newer["num_records"].sum()) + partly.height
