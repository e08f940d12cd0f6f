"""What the structure of a message says: which signals are null, of a wrong type, or unknown.

A fleet sends few different structures, so each is judged once and the judgement is joined to its
messages. The judgement depends on the structure alone, never on the rest of the batch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fleet_assets.contracts.signals import OBJECTS, SIGNALS, TOP_LEVEL_KEYS, Signal

_NUMBER_TYPES = {"DOUBLE", "BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT"}
_IDENTITY = 2
"""vehicle_id and timestamp, which every message that landing accepts has."""
_FLAT_LISTS = ('["VARCHAR"]', '["NULL"]')
_ABSENT = object()
_NO_OBJECT = object()


@dataclass(frozen=True)
class Structure:
    """Judgement of one structure.

    Attributes:
        null_signals: signals sent as explicit null, in the registry's order.
        wrong: bit i is set when signal i has a type that it cannot have.
        held: bit i is set when signal i has a value of a right type.
        extra_patch: merge patch (RFC 7396) that leaves only unknown keys; None: there are none.
    """

    null_signals: tuple[str, ...]
    wrong: int
    held: int
    extra_patch: str | None


@lru_cache(maxsize=50_000)
def judge(structure: str) -> Structure:
    """Judges the output of DuckDB's ``json_structure`` for one message (an object)."""
    types: dict[str, Any] = json.loads(structure)
    return _judged([_type_at(types, signal) for signal in SIGNALS], _extra_patch(types))


@lru_cache(maxsize=50_000)
def judge_outline(
    types: tuple[str | None, ...], keys: tuple[int | None, ...], lists: tuple[str | None, ...]
) -> Structure | None:
    """Judges a message by its outline, if that says all; None: look at the whole structure.

    Args:
        types: type of each signal's value, in the registry's order, and of each of OBJECTS;
            None: it is absent.
        keys: number of keys of the message and of each of OBJECTS.
        lists: structure of the values of signals that are lists; None: it is no list.
    """
    signals, objects = types[: len(SIGNALS)], dict(zip(OBJECTS, types[len(SIGNALS) :], strict=True))
    if not _accounts_for_all_keys(signals, objects, keys):
        return None
    structures = iter(lists)
    all_found: list[Any] = []
    for signal, kind in zip(SIGNALS, signals, strict=True):
        found: Any = "NULL" if objects.get(signal.path[0]) == "NULL" else kind
        if signal.kind == "string_list" and (structure := next(structures)) is not None:
            found = json.loads(structure) if structure in _FLAT_LISTS else "ARRAY"
        if found in ("ARRAY", "OBJECT"):
            return None
        all_found.append(_ABSENT if found is None else found)
    return _judged(all_found, None)


def _judged(types: Sequence[Any], extra_patch: str | None) -> Structure:
    """By the type of each signal's value, in the registry's order."""
    nulls: list[str] = []
    wrong = held = 0
    for bit, (signal, found) in enumerate(zip(SIGNALS, types, strict=True)):
        if found == "NULL":
            nulls.append(signal.name)
        elif found is not _ABSENT and _fits(found, signal):
            held |= 1 << bit
        elif found is not _ABSENT:
            wrong |= 1 << bit
    return Structure(tuple(nulls), wrong, held, extra_patch)


def _accounts_for_all_keys(
    signals: tuple[str | None, ...],
    objects: dict[str, str | None],
    keys: tuple[int | None, ...],
) -> bool:
    """Every key is that of a signal, and none comes twice (a repeated key is counted twice)."""
    present = [s for s, kind in zip(SIGNALS, signals, strict=True) if kind is not None]
    top, *inside = keys
    for (name, kind), count in zip(objects.items(), inside, strict=True):
        known = sum(s.path[0] == name for s in present)
        if kind not in (None, "NULL", "OBJECT") or (kind == "OBJECT" and count != known):
            return False
    held = sum(kind is not None for kind in objects.values())
    return top == _IDENTITY + sum(len(s.path) == 1 for s in present) + held


def _type_at(types: dict[str, Any], signal: Signal) -> Any:
    found: Any = types
    for key in signal.path:
        if not isinstance(found, dict):
            # null: the signal is null too; anything else, even a number, is a wrong type
            return found if found == "NULL" else _NO_OBJECT
        found = found.get(key, _ABSENT)
        if found is _ABSENT:
            return _ABSENT
    return found


def _fits(found: Any, signal: Signal) -> bool:
    match signal.kind:
        case "number":
            return isinstance(found, str) and found in _NUMBER_TYPES
        case "boolean":
            return bool(found == "BOOLEAN")
        case "string":
            return bool(found == "VARCHAR")
        case "string_list":
            return found in (["VARCHAR"], ["NULL"])


def _extra_patch(types: dict[str, Any]) -> str | None:
    known_parts = {
        name: {s.path[1]: None for s in SIGNALS if len(s.path) > 1 and s.path[0] == name}
        for name in OBJECTS
    }
    patch: dict[str, Any] = dict.fromkeys(key for key in types if key in TOP_LEVEL_KEYS)
    has_extra = any(key not in TOP_LEVEL_KEYS for key in types)
    for name in OBJECTS:
        inside = types.get(name)
        if isinstance(inside, dict) and any(key not in known_parts[name] for key in inside):
            patch[name] = known_parts[name]
            has_extra = True
    return json.dumps(patch) if has_extra else None
