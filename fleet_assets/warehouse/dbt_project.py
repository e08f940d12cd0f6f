"""The dbt project as the platform runs it: where it lies, and its parsed manifest.

Parsing takes seconds, so the manifest is kept under FLEET_HOME and made anew only when the
project's files have changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from fleet_assets.errors import FleetError
from fleet_assets.warehouse.dbt_env import dbt_environment

PROJECT_DIR: Final = Path(__file__).resolve().parents[2] / "dbt_project"
_NO_SERVER = "postgresql://nobody@127.0.0.1:1/fleet"  # parsing connects to nothing


def dbt_executable() -> str:
    """The dbt of this environment."""
    return str(Path(sys.executable).with_name("dbt"))


def prepare_manifest(home: Path) -> Path:
    """Path of `manifest.json` for the project as it is now.

    Raises:
        FleetError: the project does not parse.
    """
    state = (home / "dbt").absolute()
    target = state / "target"
    manifest, stamp = target / "manifest.json", state / "project.sha256"
    state.mkdir(parents=True, exist_ok=True)
    with (state / "parse.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes load the definitions at once
        fingerprint = _fingerprint()
        if manifest.exists() and stamp.exists() and stamp.read_text() == fingerprint:
            return manifest
        environment = os.environ | dbt_environment(_NO_SERVER, state)
        command = [dbt_executable(), "parse", "--project-dir", str(PROJECT_DIR)]
        command += ["--profiles-dir", str(PROJECT_DIR), "--quiet"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise FleetError(f"dbt cannot parse {PROJECT_DIR.name}: {done.stdout.strip()[-1500:]}")
        stamp.write_text(fingerprint)
    return manifest


def _fingerprint() -> str:
    digest = hashlib.sha256()
    skipped = {"target", "logs", "dbt_packages"}
    for path in sorted(PROJECT_DIR.rglob("*")):
        relative = path.relative_to(PROJECT_DIR)
        if path.is_file() and not skipped.intersection(relative.parts):
            digest.update(str(relative).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
