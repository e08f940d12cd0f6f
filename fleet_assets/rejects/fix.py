"""Mending a message before it is sent again: keys renamed, set or dropped, all else untouched.

A message is parsed into JSON values whose numbers stay text, so no digit of what is not changed
is lost. Without changes the bytes stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self

from fleet_assets.errors import FleetError

_ABSENT = object()


class _Number(str):
    """A JSON number as it was written (also NaN and Infinity, which are judged later)."""

    __slots__ = ()


@dataclass(frozen=True)
class Fix:
    """What is changed, in this order.

    A key may be a path (``gps.lat``); a key that is written with the dot wins over the path.

    Attributes:
        renames: (old, new): the value moves, unless the new key has a value already.
        sets: (key, JSON text): the key gets this value, whatever it had.
        drops: keys that are removed.
    """

    renames: tuple[tuple[str, str], ...] = ()
    sets: tuple[tuple[str, str], ...] = ()
    drops: tuple[str, ...] = ()

    @classmethod
    def parse(cls, renames: Iterable[str], sets: Iterable[str], drops: Iterable[str]) -> Self:
        """Reads ``old=new`` and ``key=value``; a value that is no JSON is a text.

        Raises:
            FleetError: one has no ``=``, or no key.
        """
        pairs = [_pair("--rename", text, "old=new") for text in renames]
        if empty := [old for old, new in pairs if not new]:
            raise FleetError(
                f"--rename {empty[0]}= names no new key: --drop {empty[0]} removes it."
            )
        values = [_pair("--set", text, "key=value") for text in sets]
        return cls(tuple(pairs), tuple((k, _json_text(v)) for k, v in values), tuple(drops))

    def __bool__(self) -> bool:
        return bool(self.renames or self.sets or self.drops)

    @property
    def as_json(self) -> str:
        """For the audit trail."""
        return json.dumps(asdict(self))

    def apply(self, value: bytes | None) -> bytes | None:
        """The message with the changes; what is no JSON object stays as it is."""
        if not self or not value:
            return value
        try:
            message = json.loads(
                value, parse_int=_Number, parse_float=_Number, parse_constant=_Number
            )
            if not isinstance(message, dict):
                return value
            for old, new in self.renames:
                _rename(message, old, new)
            for key, text in self.sets:
                _put(message, key, json.loads(text, parse_int=_Number, parse_float=_Number))
            for key in self.drops:
                _take(message, key)
            return _written(message).encode()
        except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested beyond reason
            return value


def _pair(option: str, text: str, form: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise FleetError(f"{option} {text!r} is not of the form {form}.")
    return key, value


def _json_text(text: str) -> str:
    try:
        json.loads(text)
    except ValueError:
        return json.dumps(text)
    return text


def _rename(message: dict[str, Any], old: str, new: str) -> None:
    if _holder(message, old) is None:
        return
    if _look(message, new) in (_ABSENT, None):
        _put(message, new, _take(message, old))


def _holder(message: dict[str, Any], key: str) -> tuple[dict[str, Any], str] | None:
    """The object that has the key, and the key in it; None: it is not there."""
    if key in message:
        return message, key
    head, dot, rest = key.partition(".")
    inside = message.get(head)
    return _holder(inside, rest) if dot and isinstance(inside, dict) else None


def _look(message: dict[str, Any], key: str) -> Any:
    found = _holder(message, key)
    return _ABSENT if found is None else found[0][found[1]]


def _take(message: dict[str, Any], key: str) -> Any:
    found = _holder(message, key)
    return None if found is None else found[0].pop(found[1])


def _put(message: dict[str, Any], key: str, value: Any) -> None:
    """Sets the key where it is, else by its path; objects on the way are made."""
    found = _holder(message, key)
    if found is not None:
        found[0][found[1]] = value
        return
    *path, last = key.split(".")
    for name in path:
        inside = message.get(name)
        if not isinstance(inside, dict):
            inside = message[name] = {}
        message = inside
    message[last] = value


def _written(value: Any) -> str:
    match value:
        case _Number():
            return str(value)
        case dict():
            members = (f"{_text(key)}:{_written(member)}" for key, member in value.items())
            return "{" + ",".join(members) + "}"
        case list():
            return "[" + ",".join(map(_written, value)) + "]"
        case str():
            return _text(value)
        case _:
            return json.dumps(value)


def _text(text: str) -> str:
    """Readable text; what UTF-8 cannot hold (half a surrogate pair) stays an escape."""
    written = json.dumps(text, ensure_ascii=False)
    return json.dumps(text) if any("\ud800" <= c <= "\udfff" for c in written) else written
