"""Where releases of vehicles lie: files beside the model, and an index of each, written last.

A release serves whole days, from `serves_from` on; that day lies after the moment at which it was
written. So which vehicles a day is judged with never changes once the day has begun.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Final

from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.models.artifact import from_bytes, to_bytes
from fleet_assets.models.releases import Release

SHARD_VEHICLES: Final = 250
"""At most so many vehicles in a file: about 70 MB."""


@dataclass(frozen=True)
class Fitted:
    """What was done for a vehicle.

    Attributes:
        what: fitted, settled (made known, though no training has seen it) or recalibrated.
        until: end of the newest window that it has seen (ISO 8601).
        windows: how many healthy windows it was made from.
        shard: number of the file that holds it.
    """

    what: str
    until: str
    windows: int
    shard: int = 0


@dataclass(frozen=True)
class Index:
    """A release.

    Attributes:
        model: id of the model that it belongs to.
        day: newest day whose windows it has seen.
        number: 1; more if a day was released again.
        serves_from: first day that it is used on.
        vehicles: what was done, by vehicle.
    """

    model: str
    day: date
    number: int
    serves_from: date
    vehicles: Mapping[str, Fitted]

    @property
    def name(self) -> str:
        """Name of the index's file."""
        return f"{self.stem}.json"

    @property
    def stem(self) -> str:
        """The same without its ending: the folder of its files."""
        again = "" if self.number == 1 else f".{self.number}"
        return f"{folder(self.model)}/{self.day.isoformat()}{again}"


def folder(model_id: str) -> str:
    """Where the releases of a model lie."""
    return f"models/{model_id}/vehicles"


def write_release(artifacts: Artifacts, index: Index, shards: Mapping[int, Release]) -> None:
    """Writes the files of a release, then its index.

    Files without an index are of a writer that was cut off: nobody reads them, they are replaced.

    Raises:
        FleetError: the release is there already and holds something else.
    """
    is_new = not artifacts.exists(index.name)
    for number, release in sorted(shards.items()):
        artifacts.write(f"{index.stem}/{number}.zip", to_bytes(release), overwrite=is_new)
    artifacts.write(index.name, _told(index))


def indexes(artifacts: Artifacts, model_id: str) -> list[Index]:
    """All releases of a model, in the order in which they count: the newest last."""
    names = [name for name in artifacts.names(folder(model_id)) if name.endswith(".json")]
    found = [_index(artifacts.lake_url, name) for name in names]
    return sorted(found, key=lambda each: (each.serves_from, each.day, each.number))


def newest(
    releases: Sequence[Index],
    serving_on: date,
    vehicle_ids: Collection[str] | None = None,
    before: date = date.max,
) -> dict[str, tuple[Index, Fitted]]:
    """The release that counts for each vehicle on a day.

    Args:
        releases: of a model, as `indexes` gives them.
        serving_on: releases that serve later are left out.
        vehicle_ids: only these; None: all.
        before: releases of this day and later ones are left out.
    """
    found: dict[str, tuple[Index, Fitted]] = {}
    for index in releases:
        if index.serves_from <= serving_on and index.day < before:
            for who, fitted in index.vehicles.items():
                if vehicle_ids is None or who in vehicle_ids:
                    found[who] = index, fitted
    return found


def read_release(artifacts: Artifacts, index: Index, shard: int) -> Release:
    """One file of a release."""
    return _shard(artifacts.lake_url, f"{index.stem}/{shard}.zip")


@lru_cache(maxsize=1000)
def _index(lake_url: str, name: str) -> Index:
    told: dict[str, Any] = json.loads(Artifacts(lake_url).read(name))
    days = {key: date.fromisoformat(told[key]) for key in ("day", "serves_from")}
    vehicles = {who: Fitted(**each) for who, each in told["vehicles"].items()}
    return Index(**(told | days | {"vehicles": vehicles}))


@lru_cache(maxsize=8)
def _shard(lake_url: str, name: str) -> Release:
    return from_bytes(Artifacts(lake_url).read(name), Release)[0]


def _told(index: Index) -> bytes:
    plain = asdict(index) | {
        "day": index.day.isoformat(), "serves_from": index.serves_from.isoformat(),
    }  # fmt: skip
    return json.dumps(plain, sort_keys=True).encode()
