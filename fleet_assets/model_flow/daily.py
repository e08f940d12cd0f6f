"""What is done for all models of an installation on a day."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.lake.store import Lake
from fleet_assets.model_choice.audit import state_of
from fleet_assets.model_flow.candidates import is_new
from fleet_assets.model_flow.groups import groups_of_register
from fleet_assets.model_flow.incidents import feedback_of
from fleet_assets.model_flow.promote import unusable
from fleet_assets.model_flow.vehicle_models import Refreshed, known_until, refresh_vehicles
from fleet_assets.models.training import Progress, silent
from fleet_assets.warehouse.model_registry import drift_rows, read_audit, versions


def models_at_work(postgres_url: str) -> dict[str, list[str]]:
    """Champions, challengers and models that may come to serve, each with its groups."""
    audit, known = read_audit(postgres_url), versions(postgres_url)
    found: dict[str, list[str]] = {}
    for group in sorted({group for each in known for group in each.groups}):
        state = state_of(audit, group)
        newest = next(each for each in known if group in each.groups)
        models = [] if state is None else [state.champion, state.challenger]
        if state is None or is_new(newest, state, audit, group, known):
            models.append(newest.version_id)
        for model_id in dict.fromkeys(models):
            if model_id is not None:
                found.setdefault(model_id, []).append(group)
    return found


def refresh_all(
    lake: Lake,
    postgres_url: str,
    day: date,
    *,
    drifted: Collection[str] = (),
    repin: date | None = None,
    progress: Progress = silent,
) -> dict[str, Refreshed]:
    """Brings the vehicles of all models at work up to a day.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        day: newest day (UTC) that is learnt from.
        drifted: groups that have drifted.
        repin: release the day once more, to serve from this day on.
        progress: is told how far it is.

    Returns:
        What became of each model's vehicles.
    """
    at_work = models_at_work(postgres_url)
    if not at_work:
        return {}
    register = groups_of_register(postgres_url)
    known = known_until(lake, feedback_of(postgres_url), day)
    artifacts, done = Artifacts(lake.url), {}
    for model_id, groups in at_work.items():
        types = {who: group for who, group in register.items() if group in groups}
        problem = unusable(artifacts, model_id)
        if problem is not None:  # the others go on; model_choice looks for another one
            progress(f"{model_id}: {problem}", 1.0)
            done[model_id] = Refreshed(None, {}, is_old=False, seconds=0.0, problem=problem)
            continue
        done[model_id] = refresh_vehicles(
            lake, model_id, day, types, known, drifted=drifted, repin=repin, progress=progress
        )
    return done


def drifted_groups(postgres_url: str, day: date) -> list[str]:
    """Groups with an alarm in the reports of a day."""
    rows = drift_rows(postgres_url, day, day).filter("alarm")
    return sorted(rows["vehicle_type"].unique())
