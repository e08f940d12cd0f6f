"""Training sets: healthy windows, the same days with faults, labels, and a card of what they are.

A set is named by the hash of what it is made of, so the same telemetry, register, labels and
settings give the same set, which is made once. Its card is written last.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

import polars as pl

from fleet_assets.features.catalogue import read_features
from fleet_assets.injection.catalogue import read_catalogue
from fleet_assets.injection.labels import labels_of_faults
from fleet_assets.injection.truth import TRUTH_SCHEMA
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.lake.training_data import (
    Span,
    VehicleDay,
    Wanted,
    choose,
    chunks,
    data_version,
    days_with_data,
    newest_span,
)
from fleet_assets.model_flow.incidents import Known, known_of
from fleet_assets.model_flow.set_files import folder, write_training_set
from fleet_assets.model_flow.set_frames import (
    SetFrames,
    share_with_faults,
    virtual_chunks,
    virtual_hours,
)
from fleet_assets.models.frame import INPUTS
from fleet_assets.models.training import Copy, Progress, TooLittleDataError, silent
from fleet_assets.models.virtual import MOST_EACH, how_many, is_real

FORM: Final = 2
"""Another one names other sets: raise it when the same settings make other rows."""


@dataclass(frozen=True)
class SetSettings:
    """What a training set is made by; all of it is part of its name.

    Attributes:
        span_days: how far back, from the newest closed day.
        last_day: newest day; None: the newest closed one.
        seed: another one chooses other vehicles, days and faults.
        most_vehicles: of all groups together. Others are made known later, day by day.
        hours: healthy vehicle-hours in all.
        hours_of_vehicle: least and most of one vehicle.
        faulty_hours: vehicle-hours that get faults, over all passes.
            Virtual vehicles get as many on top, at most.
        passes: with faults of all kinds, and with those of SENSOR_KINDS.
        virtual_each: most virtual vehicles of a real one; 0: none.
    """

    span_days: int = 30
    last_day: date | None = None
    seed: int = 1
    most_vehicles: int = 125
    hours: float = 1000.0
    hours_of_vehicle: tuple[float, float] = (8.0, 40.0)
    faulty_hours: float = 3000.0
    passes: tuple[int, int] = (8, 6)
    virtual_each: int = MOST_EACH


def releases() -> dict[str, int]:
    """Of the catalogues in use: a set is of one of each."""
    return {
        "feature_release": read_features().release,
        "fault_release": read_catalogue().release,
    }


def make_training_set(
    lake: Lake,
    types: Mapping[str, str],
    feedback: pl.DataFrame,
    settings: SetSettings,
    progress: Progress = silent,
) -> str:
    """Makes a training set, unless it is there already.

    Args:
        lake: telemetry, `vehicle_hours` and `rule_anomalies`.
        types: group by vehicle, of the whole register.
        feedback: rows of `incidents.FEEDBACK_SCHEMA`.
        settings: how.
        progress: is told how far it is.

    Returns:
        Its id, `ts-…`.

    Raises:
        TooLittleDataError: there is no data to make it of.
    """
    span = span_of(lake, settings)
    wanted = Wanted(
        "train", f"training {settings.seed}", settings.most_vehicles, settings.hours,
        settings.hours_of_vehicle,
    )  # fmt: skip
    chosen = choose(lake, span, types, wanted)
    if not chosen:
        raise TooLittleDataError(
            f"No vehicle of the register was driven on a day for training from {span.first_day} to"
            f" {span.last_day}. Wait for more data, or import the vehicles."
        )
    known = known_of(lake, feedback, span)
    telemetry = lake.open("telemetry")  # what the name says of it is what is read
    made_of = _made_of(telemetry, chosen, types, known, settings)
    set_id = f"ts-{_hash(made_of)[:12]}"
    artifacts = Artifacts(lake.url)
    if artifacts.exists(f"{folder(set_id)}/card.json"):
        progress(f"{set_id} is there already", 1.0)
        return set_id
    healthy, copies = _frames(lake, telemetry, chosen, types, known, settings, progress)
    truths = [copy.truth.with_columns(copy=pl.lit(n)) for n, copy in enumerate(copies)]
    truth = pl.concat([TRUTH_SCHEMA.to_frame().with_columns(copy=pl.lit(0)), *truths])
    mine = pl.col("vehicle_id").is_in(healthy["vehicle_id"].unique().to_list())
    injected = labels_of_faults(truth.filter(is_real(truth)).drop("copy"))
    labels = pl.concat([injected, known.labels.filter(mine)])
    faulty = [copy.frame.with_columns(copy=pl.lit(n)) for n, copy in enumerate(copies)]
    tables = {
        "healthy": healthy,
        "copies": pl.concat([healthy.clear().with_columns(copy=pl.lit(0)), *faulty]),
        "truths": truth,
        "labels": labels,
    }
    card = {"id": set_id, **made_of["told"], **_counts(chosen, types, tables)}
    write_training_set(artifacts, set_id, tables, card)
    progress(f"{set_id}: {healthy.height:,} healthy windows, {truth.height:,} faults", 1.0)
    return set_id


def span_of(lake: Lake, settings: SetSettings) -> Span:
    """The days that settings ask for.

    Raises:
        TooLittleDataError: there is no data.
    """
    days = days_with_data(lake)
    if settings.last_day is not None:
        days = [day for day in days if day <= settings.last_day]
        days = [*days, settings.last_day] if days else []  # as if the day after had begun
    span = newest_span(days, settings.span_days)
    if span is None:
        raise TooLittleDataError(
            "There is no data yet (vehicle_hours is empty): send telemetry, then train."
        )
    return span


def _made_of(
    telemetry: TableSnapshot,
    chosen: Sequence[VehicleDay],
    types: Mapping[str, str],
    known: Known,
    settings: SetSettings,
) -> dict[str, Any]:
    """All that the rows depend on; `told` is for the card, too."""
    vehicles = sorted({each.vehicle_id for each in chosen})
    days = [each.day for each in chosen]
    return {
        "told": {
            "form": FORM,
            "data_version": data_version(telemetry, chosen),
            "settings": asdict(settings)
            | {"last_day": settings.last_day and str(settings.last_day)},
            "from": str(min(days)),
            "to": str(max(days)),
            "vehicles": {who: types[who] for who in vehicles},
        }
        | releases(),
        "inputs": list(INPUTS),
        "days": [(e.vehicle_id, e.first_hour, e.last_hour) for e in chosen],
        "labels": known.labels.filter(pl.col("vehicle_id").is_in(vehicles)).write_json(),
    }


def _hash(made_of: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def _frames(
    lake: Lake,
    telemetry: TableSnapshot,
    chosen: Sequence[VehicleDay],
    types: Mapping[str, str],
    known: Known,
    settings: SetSettings,
    progress: Progress,
) -> tuple[pl.DataFrame, list[Copy]]:
    """Healthy windows and passes, of real vehicles and then of virtual ones."""
    trained_on = {each.vehicle_id: types[each.vehicle_id] for each in chosen}
    numbers = how_many(trained_on, settings.virtual_each)
    parts = [
        (
            float(sum(each.driven_hours for each in chosen)),
            chunks(lake, chosen, telemetry=telemetry),
        ),
        (
            virtual_hours(chosen, numbers),
            virtual_chunks(lake, telemetry, chosen, numbers, settings.seed),
        ),
    ]
    total = sum(hours for hours, _ in parts)
    found, done = SetFrames(settings.seed, settings.passes, known.incidents), 0
    for hours, of_part in parts:
        share = share_with_faults(hours, settings.faulty_hours, settings.passes)
        for chunk in of_part:
            found.add(chunk, share)
            done += sum(each.driven_hours for each in chunk.days)
            windows = sum(frame.height for frame in found.healthy)
            progress(
                f"{done:,} of about {total:,.0f} driven hours, {windows:,} healthy windows,"
                f" {found.faults:,} faults",
                min(done / total, 1.0),
            )
    return found.whole()


def _counts(
    chosen: Sequence[VehicleDay], types: Mapping[str, str], tables: Mapping[str, pl.DataFrame]
) -> dict[str, Any]:
    """What is in a set: of real vehicles, and apart from that of virtual ones."""
    every = tables["healthy"], tables["copies"], tables["truths"]
    healthy, copies, truth = (table.filter(is_real(table)) for table in every)
    windows, faulty_windows, faults = (table.filter(~is_real(table)).height for table in every)
    groups = Counter(types[who] for who in healthy["vehicle_id"].unique().sort())
    vehicles = tables["healthy"]["vehicle_id"].n_unique() - groups.total()
    return {
        "groups": dict(sorted(groups.items())),
        "vehicle_days": len(chosen),
        "driven_hours": sum(each.driven_hours for each in chosen),
        "windows": healthy.height,
        "faulty_windows": copies.height,
        "faults": truth.height,
        "faults_by_kind": _by(truth, "kind"),
        "labels_by_source": _by(tables["labels"], "source"),
        "virtual": {
            "vehicles": vehicles,
            "windows": windows,
            "faulty_windows": faulty_windows,
            "faults": faults,
        },
        "held_out_family": read_catalogue().held_out,
    }


def _by(rows: pl.DataFrame, column: str) -> dict[str, int]:
    return dict(rows.group_by(column).len().sort(column).iter_rows())
