"""Artifacts: whole or not there, never changed, on a disk and behind an object store's URL."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fleet_assets.errors import FleetError
from fleet_assets.lake.artifacts import Artifacts

NAME = "models/fm-0123456789ab.zip"


@pytest.fixture(params=["folder", "url"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    """A lake that is not there yet."""
    root = tmp_path / "a lake"
    return Artifacts(str(root) if request.param == "folder" else root.as_uri())


@pytest.fixture
def behind_a_handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifacts:
    """The way of an object store, which delta-rs knows, over a folder."""
    monkeypatch.setattr("fleet_assets.lake.artifacts._local_folder", lambda url: None)
    return Artifacts(str(tmp_path))


def round_trip(artifacts: Artifacts) -> None:
    assert artifacts.names() == artifacts.names("models") == []
    assert not artifacts.exists(NAME)
    artifacts.write(NAME, b"model")
    artifacts.write(NAME, b"model")
    artifacts.write("models/fm-0123456789ab/vehicles/2026-11-30.zip", bytes(10_000_000))
    artifacts.write("training_sets/ts-1/card.json", b"")
    assert artifacts.read(NAME) == b"model"
    assert artifacts.read("training_sets/ts-1/card.json") == b""
    assert artifacts.exists(NAME)
    assert not artifacts.exists("models"), "a folder is no artifact"
    assert artifacts.names("models") == [
        NAME, "models/fm-0123456789ab/vehicles/2026-11-30.zip",
    ]  # fmt: skip
    assert artifacts.names("models/fm-0123456789ab/") == [artifacts.names("models")[1]]
    assert len(artifacts.names()) == 3


def test_what_is_written_is_read(artifacts: Artifacts) -> None:
    round_trip(artifacts)


def test_what_is_written_is_read_behind_an_object_store(behind_a_handler: Artifacts) -> None:
    round_trip(behind_a_handler)


def test_an_artifact_does_not_change_unless_that_is_meant(artifacts: Artifacts) -> None:
    artifacts.write(NAME, b"model")
    with pytest.raises(FleetError, match="is there already and holds something else"):
        artifacts.write(NAME, b"other")
    assert artifacts.read(NAME) == b"model"
    artifacts.write(NAME, b"other", overwrite=True)
    assert artifacts.read(NAME) == b"other"


def test_what_is_missing_is_said_with_its_address(artifacts: Artifacts) -> None:
    with pytest.raises(FleetError, match=rf"artifacts/{NAME} is missing: restore it"):
        artifacts.read(NAME)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "", "models/../../x", "x.unfinished"])
def test_names_stay_within_the_folder(artifacts: Artifacts, name: str) -> None:
    for use in (artifacts.read, artifacts.exists, lambda n: artifacts.write(n, b"")):
        with pytest.raises(FleetError, match="is no name of an artifact"):
            use(name)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fleet_assets.lake.artifacts.fault_point", fails)
    with pytest.raises(KeyboardInterrupt):
        Artifacts(str(tmp_path)).write(NAME, b"model")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def killed_at(point: str, root: Path) -> int:
    code = f"from fleet_assets.lake.artifacts import Artifacts; Artifacts({str(root)!r})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}.write({NAME!r}, b'model')"],
        env={"FLEET_FAULT_POINT": point, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    return done.returncode


def test_a_kill_before_the_move_leaves_no_artifact(tmp_path: Path) -> None:
    assert killed_at("artifacts.written", tmp_path) == -signal.SIGKILL
    artifacts = Artifacts(str(tmp_path))
    assert not artifacts.exists(NAME)
    assert artifacts.names() == []
    artifacts.write(NAME, b"model")
    assert artifacts.read(NAME) == b"model"
