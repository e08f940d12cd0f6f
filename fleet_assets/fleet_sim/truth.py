"""Ground truth of the injected faults, as NDJSON or (by the file's suffix) CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from fleet_assets.errors import FleetError
from fleet_assets.fleet_sim.planner import Fault
from fleet_assets.fleet_sim.times import iso

COLUMNS: Final = ("vehicle_id", "kind", "start", "end", "detail")


def truth_rows(
    faults: Sequence[Fault],
    vehicle_ids: Sequence[str],
    start_ms: int,
    until_ms: int,
    since_ms: int | None = None,
) -> list[dict[str, Any]]:
    """Faults that began before ``until_ms``; those that would go on end there.

    Faults that were over at ``since_ms`` are left out: nothing of them was sent.

    Times are those at which the vehicle passed the limit, not those of samples.
    """
    rows = []
    for fault in faults:
        begin = start_ms + fault.start * 1000.0
        end = None if fault.end is None else start_ms + fault.end * 1000.0
        over = since_ms is not None and end is not None and end <= since_ms
        if begin >= until_ms or over:
            continue
        cut = end is None or end > until_ms
        rows.append(
            {
                "vehicle_id": vehicle_ids[fault.vehicle],
                "kind": fault.kind,
                "start": iso(begin),
                "end": iso(until_ms if end is None or cut else end),
                "detail": fault.detail + (" (cut off by the end of the simulation)" if cut else ""),
            }
        )
    return sorted(rows, key=lambda row: (row["start"], row["vehicle_id"]))


def write_truth(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write (or replace) a file of ground truth."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        if path.suffix == ".csv":
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(row) + "\n" for row in rows)


def read_truth(path: Path) -> pl.DataFrame:
    """Reads ground truth: `vehicle_id`, `kind`, `start`, `end` (UTC).

    Raises:
        FleetError: the file cannot be read, or is something else.
    """
    names = ("vehicle_id", "kind", "start", "end")
    read = pl.read_csv if path.suffix == ".csv" else pl.read_ndjson
    try:
        found = read(path, schema_overrides=dict.fromkeys(COLUMNS, pl.String()))
        return found.select(
            "vehicle_id", "kind", pl.col("start", "end").str.to_datetime("%+", time_zone="UTC")
        ).select(names)
    except OSError as error:
        raise FleetError(f"{path.name} cannot be read: {error.strerror}") from None
    except pl.exceptions.PolarsError:
        raise FleetError(
            f"{path.name} is no ground truth ({', '.join(names)}): `fleet simulate --truth FILE`"
            " writes it."
        ) from None
