"""`fleet inject` and `fleet faults`: recordings with faults, and what is refused."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer
from injection_data import BEGIN, days, healthy
from telemetry_data import placed
from typer.testing import CliRunner

from fleet_assets.commands.inject import register
from fleet_assets.errors import FleetError
from fleet_assets.fleet_sim.recording import read_lines
from fleet_assets.injection.catalogue import read_catalogue
from fleet_assets.injection.draws import in_split
from fleet_assets.injection.inject import inject
from fleet_assets.injection.plan import Chosen, plan
from fleet_assets.injection.truth import read_truth, write_truth
from fleet_assets.telemetry.decode import decode

SIGNALS = ["engine_rpm", "speed", "coolant_temp"]
KEY = ["vehicle_id", "event_time"]


def lines_of(telemetry: pl.DataFrame) -> list[bytes]:
    """Messages as a vehicle may write them, with a key that no contract knows."""
    return [
        json.dumps(
            {
                "timestamp": f"{row['event_time']:%Y-%m-%dT%H:%M:%S}Z",
                "vehicle_id": row["vehicle_id"],
                **{name: float(row[name]) for name in SIGNALS},
                "firmware": "7.1",
            }
        ).encode()
        for row in telemetry.iter_rows(named=True)
    ]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "drives.ndjson"
    lines = lines_of(healthy(minutes=150, signals=SIGNALS))
    path.write_bytes(b"\n".join([*lines[:500], b"{broken", *lines[500:]]) + b"\n")
    return path


def run(*words: Any) -> str:
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def injected(file: Path, *words: Any, to: str = "out.ndjson.zst") -> tuple[list[bytes], Any, str]:
    out, truth = file.with_name(to), file.with_name("truth.csv")
    said = run("inject", file, "--to", out, "--truth", truth, "--untouched", 0, *words)
    return [line for chunk in read_lines(out, None) for line in chunk], read_truth(truth), said


def decoded(lines: list[bytes]) -> pl.DataFrame:
    messages = placed(lines, append_time=BEGIN + timedelta(days=99))
    return decode(messages.filter(pl.col("reject_reason").is_null())).rows.drop("i")


def test_only_lines_of_faults_change_and_they_hold_what_inject_gives(recording: Path) -> None:
    before = [line for chunk in read_lines(recording, None) for line in chunk]
    after, truth, said = injected(recording, "--seed", 3)
    assert len(after) == len(before)
    assert after[500] == b"{broken"
    rows = decoded(before)
    expected, expected_truth = inject(rows, plan(rows, 3, Chosen(untouched=0)))
    assert truth.equals(expected_truth)
    assert truth.height == 3
    assert decoded(after).equals(expected)
    changed = sum(one != other for one, other in zip(before, after, strict=True))
    differ = [not one.equals(other) for one, other in zip(
        rows.iter_slices(1), expected.iter_slices(1), strict=True
    )]  # fmt: skip
    assert changed == sum(differ) > 0
    assert f"{changed:,} of them changed by 3 faults of 1 vehicles" in said
    assert "1 lines that are no message" in said


def test_the_same_seed_gives_the_same_file_and_another_one_does_not(recording: Path) -> None:
    once, _, _ = injected(recording, "--seed", 3)
    assert injected(recording, "--seed", 3, to="again.ndjson")[0] == once
    assert injected(recording, "--seed", 4)[0] != once


def test_lines_that_share_vehicle_and_time_are_left_alone(recording: Path) -> None:
    lines = recording.read_bytes().splitlines()
    twin = lines[100].replace(b"7.1", b"7.2")
    recording.write_bytes(b"\n".join([*lines, twin]) + b"\n")
    kinds = ["--kinds", "bias, scale"]
    after, truth, said = injected(recording, *kinds)
    assert after[100] == lines[100]
    assert after[-1] == twin
    assert set(truth["kind"]) <= {"bias", "scale"}
    assert "2 that share vehicle and time" in said


def test_a_split_holds_its_own_days_only(tmp_path: Path) -> None:
    telemetry = days("v1", 12, minutes=20, signals=SIGNALS, rate_hz=0.5)
    file = tmp_path / "days.ndjson"
    file.write_bytes(b"\n".join(lines_of(telemetry)) + b"\n")
    found = {}
    for split in ("train", "evaluate"):
        lines, truth, _ = injected(file, "--split", split)
        is_in = in_split(telemetry, split, read_catalogue())  # type: ignore[arg-type]
        assert decoded(lines).select(KEY).equals(telemetry.filter(is_in).select(KEY))
        found[split] = set(truth["started_at"].dt.date())
    assert found["train"]
    assert found["evaluate"]
    assert not found["train"] & found["evaluate"]


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["--kinds", "stucked"], "no fault stucked; `fleet faults list`"),
        (["--split", "test"], "--split test is unknown: it is train or evaluate"),
        (["--held-out", "odd"], "no family odd; there are offset"),
        (["--kinds", "gps_jump"], "No fault finds a place"),
        (["--untouched", "1"], "No fault finds a place"),
        (["--to", "drives.ndjson"], "three different files"),
    ],
)
def test_what_cannot_be_done_is_said(
    recording: Path, words: list[str], cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recording.parent)
    usual = ["--to", "out.ndjson", "--truth", "truth.csv"]
    with pytest.raises(FleetError, match=cause):
        run("inject", recording, *usual, *words)
    assert not Path("out.ndjson").exists()
    assert not Path("truth.csv").exists()


def test_a_file_that_is_not_there_and_truth_that_is_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"none\.ndjson does not exist"):
        injected(tmp_path / "none.ndjson")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FleetError, match=r"other\.csv holds no injected faults"):
        read_truth(tmp_path / "other.csv")
    with pytest.raises(FleetError, match="cannot be read"):
        read_truth(tmp_path / "gone.csv")


def test_truth_is_read_as_it_was_written(tmp_path: Path) -> None:
    telemetry = healthy(minutes=170, rate_hz=3.7)
    _, truth = inject(telemetry, plan(telemetry, 2, Chosen(untouched=0)))
    assert (truth["started_at"].dt.microsecond() > 0).any()
    write_truth(tmp_path / "new" / "truth.csv", truth)
    assert read_truth(tmp_path / "new" / "truth.csv").equals(truth)


def test_all_kinds_are_listed() -> None:
    said = run("faults", "list")
    assert all(kind.kind in said for kind in read_catalogue().kinds)
