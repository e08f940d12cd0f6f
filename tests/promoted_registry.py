"""Runs functions of this module in a process whose registry knows one signal more.

The registry is changed as a contributor would: one entry is added to ``contracts/signals.py``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ENTRY = """
    _number(
        "tire_pressure",
        "kPa",
        6,
        1,
        (0, 1200),
        "Vehicle.Chassis.Axle.Row1.Wheel.Left.Tire.Pressure",
        "SAE J1939 SPN 241",
        "Tire pressure.",
    ),
)

SIGNAL_BY_NAME"""


def in_child(function: str, **arguments: Any) -> Any:
    """Result of a function below, computed under the changed registry."""
    done = subprocess.run(
        [sys.executable, __file__, function, json.dumps(arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _change_registry() -> None:
    name = "fleet_assets.contracts.signals"
    path = ROOT / "fleet_assets" / "contracts" / "signals.py"
    before = path.read_text()
    after = before.replace("\n)\n\nSIGNAL_BY_NAME", ENTRY)
    assert after != before
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    module = ModuleType(name)
    module.__spec__, module.__file__ = spec, str(path)
    sys.modules[name] = module
    exec(compile(after, str(path), "exec"), module.__dict__)


def what_readers_see(lake_url: str) -> dict[str, Any]:
    """Before anybody has written under the new registry."""
    from telemetry_data import HOUR

    from fleet_assets.lake.sql import ask
    from fleet_assets.lake.store import Lake

    lake = Lake(lake_url)
    found = lake.find("telemetry")
    assert found
    version = found.version
    with ask(lake, f"FROM telemetry WHERE event_hour = '{HOUR}' AND tire_pressure IS NULL") as rows:
        seen = rows.pl().height
    return {"rows": _rows(lake, HOUR), "sql": seen, "changed": lake.find("telemetry") is None
            or version != found.version}  # fmt: skip


def take_in(lake_url: str, event_hour: str, messages: list[str], start: int) -> dict[str, Any]:
    """Lands messages and refreshes their hour, without a rebuild."""
    from telemetry_data import LATE_AFTER, land_values

    from fleet_assets.lake.refresh import refresh_hour
    from fleet_assets.lake.store import Lake

    lake = Lake(lake_url)
    land_values(lake, [message.encode() for message in messages], start=start)
    refresh_hour(lake, event_hour, frozenset({"v1", "v2"}), LATE_AFTER)
    return _state(lake, event_hour)


def rebuild(lake_url: str, event_hour: str) -> dict[str, Any]:
    """The backfill of one hour."""
    from telemetry_data import LATE_AFTER

    from fleet_assets.lake.refresh import refresh_hour
    from fleet_assets.lake.store import Lake

    lake = Lake(lake_url)
    refresh_hour(lake, event_hour, frozenset({"v1", "v2"}), LATE_AFTER, force_rebuild=True)
    return _state(lake, event_hour)


def _state(lake: Any, event_hour: str) -> dict[str, Any]:
    from fleet_assets.lake.conservation import account
    from fleet_assets.lake.sql import ask

    (found,) = account(lake, [event_hour])
    query = (
        "SELECT sum(read), sum(accepted), sum(duplicate), sum(rejected), sum(pending)"
        f" FROM telemetry_outcomes WHERE event_hour = '{event_hour}'"
    )
    with ask(lake, query) as counts:
        totals = [int(n) for n in counts.fetchall()[0]]
    with ask(
        lake, f"SELECT count(*) FROM telemetry_rejects WHERE event_hour = '{event_hour}'"
    ) as n:
        rejects = n.fetchall()[0][0]
    return {
        "rows": _rows(lake, event_hour), "totals": totals, "rejects": rejects,
        "differences": found.differences,
    }  # fmt: skip


def _rows(lake: Any, event_hour: str) -> dict[str, list[Any]]:
    """By second of the hour: tire_pressure, extra, invalid_values, explicit null, conflict."""
    rows = lake.find("telemetry").read(event_hour)
    assert rows.select("vehicle_id", "event_time").is_unique().all()
    return {
        f"{row['vehicle_id']}:{row['event_time'].second}": [
            None if row["tire_pressure"] is None else str(row["tire_pressure"]),
            row["extra"], row["invalid_values"], "tire_pressure" in row["null_signals"],
            row["conflict"],
        ]
        for row in rows.iter_rows(named=True)
    }  # fmt: skip


if __name__ == "__main__":
    _change_registry()
    print(json.dumps(globals()[sys.argv[1]](**json.loads(sys.argv[2]))))
