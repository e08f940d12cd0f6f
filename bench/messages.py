"""Messages to measure with: the real trips if they are there, and simulated ones."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import zstandard

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "real_trips.ndjson.zst"
_HOUR = datetime(2026, 3, 2, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Load:
    """A set of messages with a name for the tables."""

    name: str
    messages: list[bytes]

    @property
    def bytes_each(self) -> float:
        """Mean size of a message."""
        return sum(map(len, self.messages)) / len(self.messages)

    @property
    def vehicles(self) -> frozenset[str]:
        """Ids of all vehicles."""
        return frozenset(json.loads(message)["vehicle_id"] for message in self.messages)


def loads(most: int) -> list[Load]:
    """What there is to measure with, at most so many messages each."""
    real = real_messages(most)
    found = [Load("simulator, full messages", simulated_messages(most))]
    if real:
        found.insert(0, Load("real trips, as an hour of a fleet", as_one_hour(real)))
        found.insert(1, Load("real trips, as recorded", real))
    return found


def real_messages(most: int) -> list[bytes]:
    """Lines of the real trips; empty if the file is not there."""
    if not REAL.exists():
        return []
    with REAL.open("rb") as packed:
        return zstandard.ZstdDecompressor().stream_reader(packed).read().splitlines()[:most]


def as_one_hour(messages: list[bytes]) -> list[bytes]:
    """The same values as if vehicles had sent them at 1 Hz within one hour.

    Seven vehicles alone spread half a million messages over a hundred hours; a fleet does not.
    """
    vehicles = -(-len(messages) // 3600)
    changed = []
    for number, message in enumerate(messages):
        second, vehicle = divmod(number, vehicles)
        fields = json.loads(message)
        fields["vehicle_id"] = f"VH-{vehicle:04}"
        moment = _HOUR + timedelta(seconds=second)
        fields["timestamp"] = moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        changed.append(json.dumps(fields, separators=(",", ":")).encode())
    return changed


def simulated_messages(most: int) -> list[bytes]:
    """Full messages of 200 simulated vehicles within an hour."""
    import typer
    from typer.testing import CliRunner

    from fleet_assets.commands import simulate

    app = typer.Typer()
    simulate.register(app)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "messages.ndjson"
        seconds = most // 200
        arguments = ["--vehicles", "200", "--span", f"{seconds}s", "--rate", "max"]
        arguments += ["--start", _HOUR.isoformat(), "--output", str(path), "--no-register"]
        result = CliRunner().invoke(app, arguments)
        if result.exit_code != 0:
            raise RuntimeError(result.output)
        return path.read_bytes().splitlines()[:most]
