"""Lines of a recording: who sent each and when, and the same bytes with another time."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from fleet_assets.errors import FleetError
from fleet_assets.fleet_sim.rebase import move_timestamp, parse_timestamp

CHUNK: Final = 50_000


class _Head(msgspec.Struct):
    vehicle_id: str
    timestamp: str | int


_decode = msgspec.json.Decoder(_Head).decode
_KEY: Final = re.compile(rb'"timestamp"\s*:\s*')
_NAME: Final = b'"timestamp"'


def read_lines(path: Path, limit: int | None) -> Iterator[list[bytes]]:
    """The lines of an NDJSON file (``.zst``: compressed), in chunks, without line ends."""
    if not path.exists():
        raise FleetError(f"{path} does not exist: give an NDJSON file, plain or .zst.")
    with _open(path) as file:
        lines = islice(file, limit)
        try:
            while chunk := [line.rstrip(b"\r\n") for line in islice(lines, CHUNK)]:
                yield chunk
        except Exception as error:
            if type(error).__name__ != "ZstdError":
                raise
            raise FleetError(f"{path} is no valid zstd file ({error}): make it again.") from None


def _open(path: Path) -> Any:
    if path.suffix == ".zst":
        import zstandard

        return io.BufferedReader(zstandard.open(path, "rb"), 1 << 20)
    return path.open("rb", buffering=1 << 20)


def head(line: bytes) -> tuple[str, str | int, int, bool] | None:
    """Vehicle, timestamp as written, epoch milliseconds, and whether milliseconds are missing.

    None where the line is no message that says who and when.
    """
    try:
        found = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    time = parse_timestamp(found.timestamp)
    return None if time is None else (found.vehicle_id, found.timestamp, *time)


def with_time(line: bytes, timestamp: str | int, shift_ms: int) -> bytes:
    """The same line with its timestamp moved; no other byte changes."""
    moved = move_timestamp(timestamp, shift_ms)
    if isinstance(timestamp, str):
        before, found, after = line.partition(f'"timestamp":"{timestamp}"'.encode())
        if found and _NAME not in before and _NAME not in after:
            return b'%b"timestamp":%b%b' % (before, moved.encode(), after)
    at = _value_at(line)
    return line[:at] + moved.encode() + line[_value_end(line, at) :]


def _value_at(line: bytes) -> int:
    """Where the value of the outermost object's last ``timestamp`` begins."""
    found = -1
    for match in _KEY.finditer(line):
        if _depth(line[: match.start()]) == 1:
            found = match.end()
    if found < 0:
        raise FleetError("A key is written with escapes: rebase cannot keep this line's bytes.")
    return found


_NUMBER: Final = re.compile(rb"-?\d+")
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')


def _depth(before: bytes) -> int:
    bare = _STRING.sub(b"", before)
    return sum(bare.count(c) for c in (b"{", b"[")) - sum(bare.count(c) for c in (b"}", b"]"))


def _value_end(line: bytes, at: int) -> int:
    string = _STRING.match(line, at)
    if string:
        return string.end()
    number = _NUMBER.match(line, at)
    return number.end() if number else at
