"""A recording with faults in it: lines that no fault touches keep their bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from fleet_assets.errors import FleetError
from fleet_assets.fleet_sim.progress import Progress
from fleet_assets.fleet_sim.recording import CHUNK, read_lines
from fleet_assets.fleet_sim.sinks import Sink
from fleet_assets.injection.catalogue import read_catalogue
from fleet_assets.injection.draws import in_split
from fleet_assets.injection.inject import inject
from fleet_assets.injection.plan import Chosen, plan
from fleet_assets.telemetry.decode import decode
from fleet_assets.telemetry.placement import place
from fleet_assets.telemetry.time_policy import ANY_TIME
from fleet_assets.telemetry.wire_form import wire_form

_KEY: Final = ["vehicle_id", "event_time"]
_ARRIVAL: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Faulted:
    """A recording with faults.

    Attributes:
        lines: what is to be sent, in the order of the recording.
        truth: rows of TRUTH_SCHEMA.
        changed: how many lines differ from the recording.
        unreadable: lines that are no message; they go as they were, with all others only.
        contested: lines that share vehicle and time with another one; no fault touches them.
    """

    lines: list[bytes]
    truth: pl.DataFrame
    changed: int
    unreadable: int
    contested: int

    def send(self, sink: Sink, progress: Progress) -> None:
        """Sends everything."""
        for start in range(0, len(self.lines), CHUNK):
            part = self.lines[start : start + CHUNK]
            sink.send([None] * len(part), part)
            progress.advance(len(part))


def with_faults(path: Path, seed: int, chosen: Chosen, progress: Progress) -> Faulted:
    """Reads a recording and injects faults.

    Args:
        path: NDJSON, plain or zstd.
        seed: another one draws other faults.
        chosen: what may be drawn; with a split, only lines of its vehicle-days are left.
        progress: is told how many lines were read.

    Raises:
        FleetError: the file cannot be read, or no fault finds a place.
    """
    catalogue = read_catalogue()
    chosen.of(catalogue)
    lines: list[bytes] = []
    rows = pl.concat(list(_rows(path, lines, progress)) or [_decoded([], 0)])
    telemetry = rows.filter(pl.struct(_KEY).is_unique())
    after, truth = inject(telemetry, plan(telemetry, seed, chosen, catalogue))
    if truth.is_empty():
        raise FleetError(
            f"No fault finds a place in {path.name} ({rows.height:,} messages): faults need"
            f" drives of more than {2 * catalogue.margin_s:.0f} s with the signals that they"
            " change; `fleet faults list` names them. Try --untouched 0, or other kinds."
        )
    differs = _differs(telemetry, after)
    changed = after.filter(differs)
    for line, value in zip(changed["line"], wire_form(changed), strict=True):
        lines[line] = value
    unreadable, contested = len(lines) - rows.height, rows.height - telemetry.height
    if chosen.split is not None:
        kept = rows.filter(in_split(rows, chosen.split, catalogue))["line"]
        lines = [lines[line] for line in kept]
    return Faulted(lines, truth, changed.height, unreadable, contested)


def _rows(path: Path, lines: list[bytes], progress: Progress) -> Iterator[pl.DataFrame]:
    """Rows of `telemetry` with the number of their `line`; all lines are kept."""
    for chunk in read_lines(path, None):
        yield _decoded(chunk, len(lines))
        lines += chunk
        progress.advance(len(chunk))


def _decoded(values: list[bytes], first: int) -> pl.DataFrame:
    messages = pl.DataFrame(
        {
            "append_time": pl.Series([_ARRIVAL] * len(values), dtype=pl.Datetime("us", "UTC")),
            "key": pl.Series([None] * len(values), dtype=pl.Binary),
            "value": pl.Series(values, dtype=pl.Binary),
        }
    )
    placed = (
        place(messages, ANY_TIME)
        .with_row_index("line", first)
        .filter(pl.col("reject_reason").is_null())
    )
    found = decode(placed).rows
    return found.with_columns(line=placed["line"].gather(found["i"])).drop("i")


def _differs(before: pl.DataFrame, after: pl.DataFrame) -> pl.Series:
    columns = [name for name in before.columns if not before[name].equals(after[name])]
    flags = pl.DataFrame({name: before[name].ne_missing(after[name]) for name in columns})
    return flags.select(pl.any_horizontal(pl.all())).to_series()
