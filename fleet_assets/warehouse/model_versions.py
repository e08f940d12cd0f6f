"""Versions of models: what each was trained by and on, and what it reached.

The model itself is a file under the lake's artifacts (`model_store`); here stands what people and
marts ask for. A version never changes: its id is a hash of its file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from fleet_assets.errors import FleetError
from fleet_assets.warehouse.connection import transact

_ID_LENGTH: Final = 12


@dataclass(frozen=True)
class ModelVersion:
    """One trained model.

    Attributes:
        version_id: `fm-` and the beginning of the hash of its file.
        recipe: how it was trained, plain JSON; the same recipe on newer data is a refresh.
        training_set: id of what it was trained on.
        data_version: of the telemetry behind it.
        trained_at: UTC.
        trained_by: who has asked for it.
        first_event_time: of what it was trained on (UTC).
        last_event_time: the last one.
        groups: vehicle groups that it may serve.
        counts: vehicles, windows, faults and the like.
        figures: what it reached, by setting; plain JSON.
    """

    version_id: str
    recipe: Mapping[str, Any]
    training_set: str
    data_version: str
    trained_at: datetime
    trained_by: str
    first_event_time: datetime
    last_event_time: datetime
    groups: tuple[str, ...]
    counts: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def recipe_id(self) -> str:
        """The same for versions that were trained in the same way."""
        return recipe_id_of(self.recipe)


def recipe_id_of(recipe: Mapping[str, Any]) -> str:
    """`rc-` and the beginning of the hash of a recipe."""
    text = json.dumps(_plain(recipe), sort_keys=True)
    return f"rc-{hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]}"


def note_version(postgres_url: str, version: ModelVersion) -> None:
    """Notes a version; one that is there already stays as it is."""
    given = vars(version) | {
        "recipe_id": version.recipe_id,
        "groups": list(version.groups),
        **{name: Jsonb(_plain(getattr(version, name))) for name in ("recipe", "counts", "figures")},
    }
    transact(postgres_url, lambda c: c.execute(_NOTE, given))


def versions(postgres_url: str) -> list[ModelVersion]:
    """All versions, newest first."""
    return _found(postgres_url, None)


def version(postgres_url: str, version_id: str) -> ModelVersion:
    """A version by its id.

    Raises:
        FleetError: there is none.
    """
    found = _found(postgres_url, version_id)
    if not found:
        raise FleetError(f"There is no model {version_id}; `fleet models list` shows all.")
    return found[0]


def _found(postgres_url: str, version_id: str | None) -> list[ModelVersion]:
    given = {"id": version_id}
    rows = transact(
        postgres_url,
        lambda c: c.cursor(row_factory=dict_row).execute(_ALL, given).fetchall(),
    )
    return [ModelVersion(**row | {"groups": tuple(row["groups"])}) for row in rows]


def _plain(value: Any) -> Any:
    """As JSON: tuples are lists, what JSON does not know is text."""
    return json.loads(json.dumps(value, default=str))


_NOTE = """
insert into warehouse.model_versions (
    version_id, recipe_id, recipe, training_set, data_version, trained_at, trained_by,
    first_event_time, last_event_time, vehicle_groups, counts, figures
)
values (
    %(version_id)s, %(recipe_id)s, %(recipe)s, %(training_set)s, %(data_version)s,
    %(trained_at)s, %(trained_by)s, %(first_event_time)s, %(last_event_time)s, %(groups)s,
    %(counts)s, %(figures)s
)
on conflict (version_id) do nothing
"""
_ALL = """
select
    version_id, recipe, training_set, data_version, trained_at, trained_by, first_event_time,
    last_event_time, vehicle_groups as groups, counts, figures
from warehouse.model_versions
where %(id)s::text is null or version_id = %(id)s
order by trained_at desc, version_id
"""
