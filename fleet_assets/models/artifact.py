"""Models as bytes, without pickle: reading a file never runs what it says.

A zip archive: `manifest.json` (form, signature, card, and the model as plain JSON), `.npy` arrays
without objects, and forests by skops, which reads no type that is not in TRUSTED.
"""

from __future__ import annotations

import dataclasses
import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from fleet_assets.errors import FleetError
from fleet_assets.models.bank import Bank
from fleet_assets.models.detector import Detector
from fleet_assets.models.device_forests import DeviceForest, DeviceForests
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.frame import INPUTS
from fleet_assets.models.healthy import Expectation
from fleet_assets.models.isolation import Isolation
from fleet_assets.models.kinds import Classifier, Namer
from fleet_assets.models.mixing import Settling
from fleet_assets.models.odds import Trust
from fleet_assets.models.releases import Release
from fleet_assets.models.vehicle import Vehicle

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

FORM: Final = 3
TRUSTED: Final = ("sklearn.tree._tree.Tree",)
"""Types that forests need beside those that skops trusts by itself; no others are read."""
_PARTS: Final = {
    one.__name__: one
    for one in (
        FleetModel,
        Vehicle,
        Expectation,
        Isolation,
        Classifier,
        DeviceForest,
        DeviceForests,
        Namer,
        Detector,
        Trust,
        Release,
        Bank,
        Settling,
    )
}
_LARGEST: Final = 2 * 1024**3
_SCHEMA: Final = "schema.json"
_ADDRESS: Final = re.compile(r'("__id__": |"file": ")(\d+)')
"""Where skops names parts of a forest by their address in memory."""
T = TypeVar("T", FleetModel, Vehicle, Release)


def signature() -> dict[str, Any]:
    """What models take, in order, and what type each is; what they give is SCORE_SCHEMA."""
    return {"inputs": [{"name": name, "type": "float32"} for name in INPUTS]}


def to_bytes(model: FleetModel | Vehicle | Release, card: Mapping[str, Any] | None = None) -> bytes:
    """Writes a whole model, one vehicle, or a release of vehicles.

    The same model and card give the same bytes.

    Args:
        model: what is written.
        card: what is told of it; plain JSON.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        told = _Writer(archive).plain(model)
        manifest = {"form": FORM, "signature": signature(), "card": dict(card or {}), "model": told}
        archive.writestr(_entry("manifest.json"), json.dumps(manifest))
    return file.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    """An entry that does not tell when it was written: the same model is the same file."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def from_bytes(data: bytes, kind: type[T]) -> tuple[T, dict[str, Any]]:
    """Reads what `to_bytes` has written.

    Args:
        data: the file.
        kind: what is expected in it.

    Returns:
        The model and its card.

    Raises:
        FleetError: it is no model, of another form, wants other inputs than there are, or holds
            types that are not trusted.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _LARGEST:
                raise FleetError("the model unpacks to more than 2 GiB: train it anew.")
            manifest = json.loads(archive.read("manifest.json"))
            _check(manifest)
            model = _Reader(archive).value(manifest["model"])
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise FleetError(f"this is no model of the platform ({error}): train it anew.") from None
    if not isinstance(model, kind):
        raise FleetError(f"this is a {type(model).__name__}, not a {kind.__name__}.")
    return model, dict(manifest["card"])


def card_of(data: bytes) -> tuple[dict[str, Any], str | None]:
    """The card of a model without reading its forests.

    Returns:
        The card, empty where there is none to be read; and why this release cannot use the model,
        if so.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            manifest = json.loads(archive.read("manifest.json"))
        card = dict(manifest["card"])
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        return {}, f"this is no model of the platform ({error}): train it anew."
    try:
        _check(manifest)
    except FleetError as error:
        return card, str(error)
    return card, None


def _check(manifest: Mapping[str, Any]) -> None:
    if manifest["form"] != FORM:
        raise FleetError(f"the model has form {manifest['form']}, not {FORM}: train it anew.")
    if manifest["signature"] != signature():
        wanted = [each["name"] for each in manifest["signature"]["inputs"]]
        other = [name for name in wanted if name not in INPUTS] or ["another order"]
        raise FleetError(
            f"the model takes {len(wanted)} inputs, there are {len(INPUTS)}; it differs in"
            f" {', '.join(other[:5])}: train it anew."
        )


class _Writer:
    """Turns a model into plain JSON, with its arrays and forests beside."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._count = 0

    def plain(self, value: Any) -> Any:
        from sklearn.base import BaseEstimator

        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {f.name: self.plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
            return {"part": type(value).__name__, "fields": fields}
        if isinstance(value, np.ndarray):
            file = io.BytesIO()
            np.save(file, value, allow_pickle=False)
            return {"array": self._put(file.getvalue(), "npy")}
        if isinstance(value, BaseEstimator):
            return {"forest": self._put(_packed(value), "skops")}
        if isinstance(value, Mapping):
            return {"map": [[name, self.plain(of)] for name, of in value.items()]}
        if isinstance(value, tuple):
            return {"tuple": [self.plain(each) for each in value]}
        if value is None or isinstance(value, (str, bool, int, float)):
            return value
        raise TypeError(f"{type(value).__name__} is no part of a model")

    def _put(self, data: bytes, ending: str) -> str:
        name = f"{self._count}.{ending}"
        self._count += 1
        self._archive.writestr(_entry(name), data)
        return name


def _packed(forest: BaseEstimator) -> bytes:
    """A forest by skops; numbers in order in place of the addresses in memory that skops writes."""
    import skops.io as sio

    names: dict[str, str] = {}

    def numbered(found: re.Match[str]) -> str:
        return found[1] + names.setdefault(found[2], str(len(names)))

    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(sio.dumps(forest))) as given,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written,
    ):
        told = _ADDRESS.sub(numbered, given.read(_SCHEMA).decode())
        written.writestr(_entry(_SCHEMA), told)
        others = [name for name in given.namelist() if name != _SCHEMA]
        renamed = {_named(name, names): name for name in others}
        for name in sorted(renamed, key=lambda name: (len(name), name)):
            written.writestr(_entry(name), given.read(renamed[name]))
    return file.getvalue()


def _named(file: str, names: Mapping[str, str]) -> str:
    stem, dot, ending = file.partition(".")
    return names.get(stem, stem) + dot + ending


class _Reader:
    """The way back."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def value(self, plain: Any) -> Any:
        if not isinstance(plain, dict):
            return plain
        if "part" in plain:
            if plain["part"] not in _PARTS:
                raise FleetError(f"the model holds {plain['part']}, which is not trusted.")
            fields = {name: self.value(of) for name, of in plain["fields"].items()}
            return _PARTS[plain["part"]](**fields)
        if "array" in plain:
            return np.load(io.BytesIO(self._archive.read(plain["array"])), allow_pickle=False)
        if "forest" in plain:
            return _forest(self._archive.read(plain["forest"]))
        if "map" in plain:
            return {name: self.value(of) for name, of in plain["map"]}
        return tuple(self.value(each) for each in plain["tuple"])


def _forest(data: bytes) -> Any:
    import skops.io as sio

    unknown = set(sio.get_untrusted_types(data=data)) - set(TRUSTED)
    if unknown:
        raise FleetError(f"the model holds {', '.join(sorted(unknown))}, which is not trusted.")
    return sio.loads(data, trusted=list(TRUSTED))
