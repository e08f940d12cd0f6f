"""Messages to measure with: the real trips if they are there, else simulated ones."""

from __future__ import annotations

import tempfile
from pathlib import Path

import zstandard

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "real_trips.ndjson.zst"


def real_messages(most: int) -> list[bytes]:
    """Lines of the real trips; empty if the file is not there."""
    if not REAL.exists():
        return []
    with REAL.open("rb") as packed:
        return zstandard.ZstdDecompressor().stream_reader(packed).read().splitlines()[:most]


def simulated_messages(most: int) -> list[bytes]:
    """Full messages of 200 simulated vehicles."""
    import typer
    from typer.testing import CliRunner

    from fleet_assets.commands import simulate

    app = typer.Typer()
    simulate.register(app)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "messages.ndjson"
        seconds = most // 200
        arguments = ["--vehicles", "200", "--span", f"{seconds}s", "--rate", "max"]
        arguments += ["--start", "2026-03-02T08:00:00Z", "--output", str(path)]
        result = CliRunner().invoke(app, arguments)
        if result.exit_code != 0:
            raise RuntimeError(result.output)
        return path.read_bytes().splitlines()[:most]
