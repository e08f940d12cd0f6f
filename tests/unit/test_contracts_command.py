"""`fleet contracts` tells a sender what the platform would do with his messages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
import zstandard
from telemetry_data import message
from typer.testing import CliRunner, Result

from fleet_assets.commands.contracts import register
from fleet_assets.errors import FleetError

NEW = "2026-02-01T00:00:00Z"


def run(*arguments: str) -> Result:
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, ["contracts", *arguments])


def write(path: Path, *lines: bytes) -> str:
    data = b"\n".join(lines) + b"\n"
    path.write_bytes(zstandard.compress(data) if path.suffix == ".zst" else data)
    return str(path)


@pytest.mark.parametrize("name", ["m.ndjson", "m.ndjson.zst"])
def test_good_messages_pass(tmp_path: Path, name: str) -> None:
    done = run("validate", write(tmp_path / name, message(timestamp=NEW, speed=1.123456)))
    assert done.exit_code == 0
    assert "1 messages, no findings" in done.output


def test_each_fault_is_told_with_its_line_and_reason(tmp_path: Path) -> None:
    file = write(
        tmp_path / "m.ndjson",
        message(timestamp=NEW),
        b"oops",
        message(timestamp=NEW, speed=999, gps={"lat": "x"}),
        message(timestamp=NEW, colour="red"),
        b'{"vehicle_id":"v1","timestamp":"' + NEW.encode() + b'","x":' + b"[" * 200 + b"]" * 200
        + b"}",
    )  # fmt: skip
    report = json.loads(run("validate", file, "--json").output)
    assert [(f["line"], f["severity"], f["reason"]) for f in report["findings"]] == [
        (2, "rejected", "invalid_json"),
        (3, "value refused", "out_of_bounds"),
        (3, "value refused", "wrong_type"),
        (4, "kept as extra", "unknown_key"),
        (5, "rejected", "invalid_json"),
    ]
    assert report["messages"] == 5
    assert "999" in report["findings"][1]["detail"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (message(timestamp=NEW, colour="red"), 0),
        (message(timestamp=NEW, speed=-1), 1),
        (message(timestamp="2026-02-01T00:00:00"), 1),
        (message(timestamp="2019-01-01T00:00:00Z"), 1),
    ],
)
def test_the_exit_code_says_whether_anything_would_be_lost(
    tmp_path: Path, line: bytes, code: int
) -> None:
    assert run("validate", write(tmp_path / "m.ndjson", line)).exit_code == code


def test_any_time_accepts_what_is_ancient_or_ahead(tmp_path: Path) -> None:
    times = ["0001-01-01T00:00:00Z", "2019-01-01T00:00:00Z", "9999-12-31T23:59:59Z", 1]
    file = write(tmp_path / "m.ndjson", *(message(timestamp=time) for time in times))
    assert run("validate", file).exit_code == 1
    assert run("validate", file, "--any-time").exit_code == 0


def test_max_errors_cuts_the_list_but_not_the_counts(tmp_path: Path) -> None:
    file = write(tmp_path / "m.ndjson", *[b"oops"] * 5)
    done = run("validate", file, "--max-errors", "2")
    assert done.output.count("line ") == 2
    assert "and 3 more" in done.output
    assert "5  rejected: invalid_json" in done.output


def test_a_dictionary_that_is_not_current_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "d.md"
    assert run("dictionary", "--output", str(path)).exit_code == 0
    assert run("dictionary", "--output", str(path), "--check").exit_code == 0
    path.write_text("old")
    stale = run("dictionary", "--output", str(path), "--check")
    assert isinstance(stale.exception, FleetError)
    assert "fleet contracts dictionary" in str(stale.exception)


def test_the_schema_is_printed_as_json() -> None:
    assert json.loads(run("schema").output)["title"] == "vehicle-telemetry"
