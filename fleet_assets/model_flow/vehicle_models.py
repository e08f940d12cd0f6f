"""Vehicles day by day: refitted, made known, recalibrated or kept, and stored where they changed.

Only days for training are learnt from, so evaluation days stay unseen by vehicles' forests too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

import polars as pl

from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.lake.store import Lake
from fleet_assets.lake.training_data import Span, VehicleDay, chunks, driven_days, newest_hours
from fleet_assets.model_flow.frames import healthy_frame
from fleet_assets.model_flow.incidents import Known, known_of
from fleet_assets.model_flow.releases import (
    SHARD_VEHICLES,
    Fitted,
    Index,
    indexes,
    newest,
    read_release,
    write_release,
)
from fleet_assets.model_store import load_model
from fleet_assets.models.evidence import GROUP
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.frame import KEY
from fleet_assets.models.mixing import Settling
from fleet_assets.models.recalibration import recalibrated
from fleet_assets.models.releases import Release
from fleet_assets.models.settling import settled
from fleet_assets.models.training import Progress, Recipe, least_to_train, silent
from fleet_assets.models.vehicle import Vehicle, fit_vehicle
from partitions.hours import hour_key

What = Literal["fitted", "settled", "recalibrated"]
SPAN: Final = timedelta(days=30)
"""How far back a vehicle's windows may lie."""
HOURS: Final = 8.0
"""Driven hours that a vehicle is fitted on: the newest ones."""
REFIT_HOURS: Final = 4
"""New driven hours from which on a vehicle is refitted."""
RECALIBRATION_HOURS: Final = 1
"""New driven hours from which on it is recalibrated."""
MOST_VEHICLES: Final = 15_000
"""Vehicles that are worked on in one release, those with most new hours first."""


@dataclass(frozen=True)
class Due:
    """What is to be done for a vehicle.

    Attributes:
        what: fitted, settled or recalibrated.
        since: what is new begins here.
        new_hours: driven hours since then.
    """

    what: What
    since: datetime
    new_hours: int


@dataclass(frozen=True)
class Refreshed:
    """What became of a model's vehicles on a day.

    Attributes:
        index: the release; None: nothing has changed.
        counts: vehicles by what was done, `kept` among them.
        is_old: the day was released before, nothing was done now.
        seconds: that it took.
        problem: why nothing was done: the model cannot be used.
    """

    index: Index | None
    counts: Mapping[str, int]
    is_old: bool
    seconds: float
    problem: str | None = None


def refresh_vehicles(
    lake: Lake,
    model_id: str,
    day: date,
    types: Mapping[str, str],
    known: Known,
    *,
    drifted: Collection[str] = (),
    repin: date | None = None,
    now: datetime | None = None,
    progress: Progress = silent,
) -> Refreshed:
    """Releases what has changed of a model's vehicles up to a day; again, it does nothing.

    Args:
        lake: the lake.
        model_id: `fm-…`.
        day: newest day (UTC) that is learnt from.
        types: group by vehicle, of the vehicles that the model may judge.
        known: of the days that are learnt from (`known_until`): incidents are left out.
        drifted: groups that have drifted: their vehicles are refitted if there is anything new.
        repin: release the day once more, to serve from this day on; days that were judged before
            are judged otherwise when they are scored again.
        now: the moment of the release; it serves from the next day (UTC) on.
        progress: is told how far it is.
    """
    started = datetime.now(UTC)
    artifacts = Artifacts(lake.url)
    releases = indexes(artifacts, model_id)
    before = [each for each in releases if each.day == day]
    if before and repin is None:
        counts = Counter(each.what for each in before[-1].vehicles.values())
        return Refreshed(before[-1], counts, is_old=True, seconds=0.0)
    model, card = load_model(artifacts, model_id)
    driven = driven_days(lake, Span(day - SPAN + timedelta(days=1), day), types, "train")
    recipe = Recipe(**card["recipe"])
    released = newest(releases, date.max, before=day)
    due = due_vehicles(released, model, card, driven, recipe, drifted, types)
    files = in_files(due)
    shards: dict[int, Release] = {}
    fitted: dict[str, Fitted] = {}
    for number, mine in enumerate(files):
        progress(f"{model_id}: file {number} of {len(files)} of vehicles", number / len(files))
        shards[number], told = _shard(
            lake, artifacts, released, model, recipe, mine, due, driven, known, types, number
        )
        fitted |= told
    counts = Counter(each.what for each in fitted.values())
    counts["kept"] = len((set(model.vehicles) | set(released)) & set(types) - set(fitted))
    if not fitted and repin is None:
        return Refreshed(None, counts, is_old=False, seconds=_since(started))
    today = (now or datetime.now(UTC)).date()
    serves_from = repin or max(today, day) + timedelta(days=1)
    index = Index(model_id, day, len(before) + 1, serves_from, fitted)
    write_release(artifacts, index, shards)
    return Refreshed(index, counts, is_old=False, seconds=_since(started))


def known_until(lake: Lake, feedback: pl.DataFrame, day: date) -> Known:
    """What is known of the days that vehicles are refreshed by.

    Args:
        lake: holds `rule_anomalies`.
        feedback: rows of `incidents.FEEDBACK_SCHEMA`.
        day: the newest one.
    """
    return known_of(lake, feedback, Span(day - SPAN, day))


def in_files(due: Mapping[str, Due]) -> list[list[str]]:
    """Those with most new hours, as they share files: neighbours by id, who are judged together."""
    names = sorted(sorted(due, key=lambda who: (-due[who].new_hours, who))[:MOST_VEHICLES])
    return [names[n : n + SHARD_VEHICLES] for n in range(0, len(names), SHARD_VEHICLES)]


def _since(started: datetime) -> float:
    return (datetime.now(UTC) - started).total_seconds()


def due_vehicles(
    released: Mapping[str, tuple[Index, Fitted]],
    model: FleetModel,
    card: Mapping[str, object],
    driven: Mapping[str, Mapping[date, list[str]]],
    recipe: Recipe,
    drifted: Collection[str],
    types: Mapping[str, str],
) -> dict[str, Due]:
    """Which vehicles have enough that is new.

    Args:
        released: the release that counts for each vehicle, of those before.
        model: as trained.
        card: of the model.
        driven: by vehicle and day for training, the hours in which it was driven.
        recipe: of the training.
        drifted: groups whose vehicles are refitted if there is anything new.
        types: group by vehicle.
    """
    trained_until = datetime.fromisoformat(str(card["data"]["to"]))  # type: ignore[index]
    least = least_to_train(recipe) / 360
    found: dict[str, Due] = {}
    for who, days in driven.items():
        is_trained = who in model.vehicles and who != GROUP
        since = trained_until
        if who in released:
            since = datetime.fromisoformat(released[who][1].until)
        is_known = is_trained or who in released
        hours = [hour for each in days.values() for hour in each]
        if not is_known:
            if len(hours) >= least:
                found[who] = Due("settled", datetime.min.replace(tzinfo=UTC), len(hours))
            continue
        last_seen = hour_key(since - timedelta(microseconds=1))
        new = sum(hour > last_seen for hour in hours)
        if new >= REFIT_HOURS or (new and types[who] in drifted):
            found[who] = Due("fitted", since, new)
        elif new >= RECALIBRATION_HOURS:
            found[who] = Due("recalibrated", since, new)
    return found


def _shard(
    lake: Lake,
    artifacts: Artifacts,
    released: Mapping[str, tuple[Index, Fitted]],
    model: FleetModel,
    recipe: Recipe,
    names: Sequence[str],
    due: Mapping[str, Due],
    driven: Mapping[str, Mapping[date, list[str]]],
    known: Known,
    types: Mapping[str, str],
    number: int,
) -> tuple[Release, dict[str, Fitted]]:
    """Works on some vehicles; those with too few healthy windows after all are left out."""
    wanted = [day for who in names for day in newest_hours(who, driven[who], HOURS)]
    vehicles: dict[str, Vehicle] = {}
    settlings: dict[str, Settling] = {}
    told: dict[str, Fitted] = {}
    for who, frame in _frames(lake, wanted, known):
        task = due[who]
        fresh, what = frame.filter(pl.col("window_end") > task.since), task.what
        if task.what == "recalibrated":
            vehicle, settling = _known(artifacts, model, released, who)
            vehicles[who] = recalibrated(vehicle, fresh)
            if settling:
                settlings[who] = settling
        elif frame.height < least_to_train(recipe):
            continue
        elif task.what == "fitted" and (
            who in model.vehicles or not _was_young(released, who, frame.height)
        ):
            _, settling = _known(artifacts, model, released, who)
            vehicles[who] = fit_vehicle(frame, recipe.seed)
            if settling:
                settlings[who] = settling
        else:
            what = "settled"
            made = settled(replace(model, vehicles={GROUP: model.vehicles[GROUP]}), frame, recipe)
            vehicles[who], settlings[who] = made.vehicles[who], made.settlings[who]
        told[who] = Fitted(what, str(frame["window_end"].max()), frame.height, number)
    return Release(vehicles, settlings, {who: types[who] for who in vehicles}), told


def _was_young(released: Mapping[str, tuple[Index, Fitted]], who: str, windows: int) -> bool:
    """Whether a vehicle was made known by less than half of what there is of it now."""
    return who in released and released[who][1].windows * 2 < windows


def _known(
    artifacts: Artifacts,
    model: FleetModel,
    old: Mapping[str, tuple[Index, Fitted]],
    who: str,
) -> tuple[Vehicle, Settling | None]:
    """A vehicle as it was released last, or trained."""
    if who not in old:
        return model.vehicles[who], model.settlings.get(who)
    index, fitted = old[who]
    release = read_release(artifacts, index, fitted.shard)
    return release.vehicles[who], release.settlings.get(who)


def _frames(
    lake: Lake, wanted: Sequence[VehicleDay], known: Known
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Healthy windows of each vehicle."""
    parts = [
        healthy_frame(chunk, known.incidents)
        for chunk in chunks(lake, sorted(wanted, key=lambda each: (each.day, each.vehicle_id)))
    ]
    if not parts:
        return
    frame = pl.concat(parts).sort(KEY)
    for (who,), mine in frame.group_by("vehicle_id", maintain_order=True):
        yield str(who), mine
