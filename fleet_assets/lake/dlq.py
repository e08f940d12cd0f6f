"""`dlq_published`: which rejects the dead-letter topic has been sent.

The table is the truth of what is still to be sent: rejects that it lacks. It is written after
Kafka has acknowledged, so a crash in between sends a reject twice and never loses one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

import polars as pl

from fleet_assets.lake.store import Lake, retrying
from fleet_assets.telemetry.coordinates import COORDINATES

IDENTITY: Final = [*COORDINATES, "reason"]
"""A reject whose reason changes is news."""
_MOST_FILES: Final = 16


def fingerprints(lake: Lake) -> dict[str, str]:
    """Per hour that has rejects a text that changes whenever they may have changed."""
    rejects = lake.find("telemetry_rejects")
    if rejects is None or rejects.files.is_empty():
        return {}
    by_hour = rejects.files.group_by("event_hour").agg(pl.col("path").sort())
    return {
        hour: hashlib.sha256("\n".join(paths).encode()).hexdigest()[:32]
        for hour, paths in by_hour.iter_rows()
    }


def unpublished(lake: Lake, event_hour: str) -> Iterator[pl.DataFrame]:
    """Rejects of an hour that are not noted as published, file by file."""
    rejects = lake.open("telemetry_rejects")
    known = lake.open("dlq_published").read(event_hour, columns=IDENTITY)
    present = rejects.read(event_hour, columns=[*IDENTITY, "landing_version"])
    new = present.join(known, on=IDENTITY, how="anti")
    if new.is_empty():
        return
    paths = rejects.files.filter(pl.col("event_hour") == event_hour)["path"]
    first, last = new["landing_version"].min(), new["landing_version"].max()
    is_new = pl.col("landing_version").is_between(first, last)
    for path in paths:
        rows = rejects.read(event_hour, where=is_new, files_where=pl.col("path") == path)
        rows = rows.join(new, on=IDENTITY, how="semi")
        if not rows.is_empty():
            yield rows


def note_published(lake: Lake, event_hour: str, published: pl.DataFrame) -> None:
    """Notes rows of `dlq_published`; what is noted already stays as it is."""

    def attempt() -> None:
        table = lake.open("dlq_published")
        known = table.read(event_hour)
        rows = published.select(table.contract.names).cast(table.contract.polars_schema)
        rows = rows.join(known.select(IDENTITY), on=IDENTITY, how="anti")
        progress = {f"dlq/{event_hour}": table.version + 1}  # so that writers meet each other
        files = table.files_of([event_hour])
        if files.height < _MOST_FILES:
            table.commit_files({event_hour: [rows]}, files.clear(), progress)
        else:
            table.commit_files({event_hour: [pl.concat([known, rows])]}, files, progress)

    retrying(f"note of what was published of {event_hour}", attempt)
