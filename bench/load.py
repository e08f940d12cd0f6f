"""`make bench-load`: a fleet at full size against the whole platform, on this machine.

Starts the platform in a folder of its own, fills the current hour, sends live telemetry with late,
repeated and spoilt messages, and samples each second how far the marts are behind.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg

from bench.prefill import prefill
from fleet_assets.lake.store import Lake
from fleet_assets.local.ports import free_port
from partitions.hours import hour_key

FLEET = [sys.executable, "-c", "from fleet_assets.cli import main; main()"]
_NEWEST = """
select max(last_event_time) from marts.fct_vehicle_hours
where hour_start >= (select max(hour_start) from marts.fct_vehicle_hours) - interval '1 hour'
"""


def main() -> None:
    """Prints what was sent, lag, freshness, memory and the accounts."""
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="fleet-load-") as home:
        env = {**os.environ, "FLEET_HOME": home, "FLEET_LAKE_URL": ""} | {
            f"FLEET_{name}_PORT": str(free_port()) for name in ("KAFKA", "POSTGRES", "DAGSTER")
        }
        try:
            _fleet(env, "up", "--detach")
            _run(asked, env, Path(home))
        finally:
            _fleet(env, "down")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vehicles", type=int, default=12_500)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--rows", type=int, default=40_000_000, help="in the hour beforehand")
    parser.add_argument("--late", type=float, default=0.03)
    return parser.parse_args()


def _run(asked: argparse.Namespace, env: dict[str, str], home: Path) -> None:
    vehicles = home / "vehicles.csv"
    simulate = ["simulate", "--vehicles", str(asked.vehicles), "--vehicles-csv", str(vehicles)]
    _fleet(env, *simulate, "--span", "1s", "--rate", "max", "--output", str(home / "none.ndjson"))
    _fleet(env, "vehicles", "import", str(vehicles))
    ids = [line.split(",")[0] for line in vehicles.read_text().splitlines()[1:]]
    if asked.rows:
        began = time.monotonic()
        now = datetime.now(UTC)
        prefill(Lake(str(home / "lake")), hour_key(now), ids, asked.rows, now)
        print(f"{asked.rows:,} rows in {hour_key(now)}", end=" ")
        print(f"({time.monotonic() - began:.0f} s)", flush=True)
        _settle(env)
    manifest = home / "manifest.json"
    load = [*FLEET, *simulate[:3], "--span", f"{asked.minutes}m", "--rate", "1x"]
    load += ["--late", str(asked.late), "--duplicate", "0.02", "--corrupt", "0.01"]
    load += ["--late-by", "10s..8m", "--manifest", str(manifest)]
    sender = subprocess.Popen(load, env=env, stdout=subprocess.DEVNULL)
    behind, memory = _sample(sender, env)
    _report(behind, memory)
    _drain(env, json.loads(manifest.read_text()))


def _settle(env: dict[str, str]) -> None:
    """Waits until the marts show the rows that were put there."""
    began = time.monotonic()
    while _status(env)["stale_hours"]:
        time.sleep(2)
    print(f"in the marts after {time.monotonic() - began:.0f} s", flush=True)


def _sample(
    sender: subprocess.Popen[bytes], env: dict[str, str]
) -> tuple[list[float], list[float]]:
    """Seconds that the marts are behind, and memory of all processes in GB, sampled."""
    url = _status(env)["postgres_url"]
    behind: list[float] = []
    memory: list[float] = []
    while sender.poll() is None:
        with psycopg.connect(url) as warehouse:
            found = warehouse.execute(_NEWEST).fetchone()
        if found and found[0]:
            behind.append((datetime.now(UTC) - found[0]).total_seconds())
        if len(behind) % 15 == 1:
            memory.append(_memory(env["FLEET_HOME"]))
            lag = sum(_status(env)["lag"].values())
            now, late = f"{datetime.now(UTC):%H:%M:%S}", behind[-1]
            print(f"{now} behind {late:.0f} s, {memory[-1]:.2f} GB, lag {lag:,}", flush=True)
        time.sleep(1)
    return behind, memory


def _report(behind: list[float], memory: list[float]) -> None:
    settled = behind[60:] or behind
    cuts = statistics.quantiles(settled, n=100)
    print(f"freshness at the mart, {len(settled):,} samples after the first minute:"
          f" p50 {cuts[49]:.0f} s, p95 {cuts[94]:.0f} s, most {max(settled):.0f} s")  # fmt: skip
    print(f"memory of all processes (PSS): at most {max(memory):.2f} GB")


def _drain(env: dict[str, str], manifest: Any) -> None:
    """Waits until all is in the marts, and compares with what was sent."""
    began = time.monotonic()
    while (seen := _status(env))["stale_hours"] or any(seen["lag"].values()):
        time.sleep(2)  # closed hours are refreshed every FLEET_LATE_INTERVAL
    print(f"all shown {time.monotonic() - began:.0f} s after the last message")
    with psycopg.connect(seen["postgres_url"]) as warehouse:
        sums = warehouse.execute(
            "select sum(read), sum(accepted), sum(duplicate), sum(rejected), sum(pending)"
            " from warehouse.telemetry_outcomes where kafka_topic_id <> 'prefill'"
        ).fetchone()
    print("read, accepted, duplicate, rejected, pending:", *(f"{n:,}" for n in sums or ()))
    print("sent:", json.dumps({k: v for k, v in manifest.items() if isinstance(v, int)}))
    print("failing checks:", seen["failing_checks"] or "none")


def _memory(home: str) -> float:
    total = 0
    for process in psutil.process_iter():
        try:
            if process.environ().get("FLEET_HOME") == home:
                total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total / 1e9


def _status(env: dict[str, str]) -> Any:
    asked = subprocess.run(
        [*FLEET, "status", "--json"], env=env, capture_output=True, check=False, text=True
    )
    if not asked.stdout:
        raise RuntimeError(asked.stderr)
    return json.loads(asked.stdout)


def _fleet(env: dict[str, str], *words: str) -> None:
    subprocess.run([*FLEET, *words], env=env, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
