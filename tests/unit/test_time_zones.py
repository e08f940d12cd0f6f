"""Whoever reads the lake in another time zone reads the same instants and the same event hours."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet
import pytest
from telemetry_data import LATE_AFTER, land_values, message

from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake

ROOT = Path(__file__).resolve().parents[2]
SPARK = ROOT / ".venv-spark" / "bin" / "python"
ZONE = ZoneInfo("America/New_York")
# around the hour that New York skipped on 8 March 2026, at 02:00 local time (07:00 UTC)
MOMENTS = {
    f"v{number}": datetime(2026, 3, 8, hour, minute, second, micros, tzinfo=UTC)
    for number, (hour, minute, second, micros) in enumerate(
        [
            (0, 0, 0, 0), (4, 59, 59, 999_999), (6, 30, 0, 123_456), (7, 0, 0, 1),
            (23, 59, 59, 999_999),
        ]
    )
}  # fmt: skip
DELTA = {
    "delta-spark_4.1_2.13": "9b05d7a82196ee1f1073733a45a2faae59161e52b86ae918fe6742fad6eaf036",
    "delta-storage": "6d0520ffcc35b582369f92c23fa24e14a5bb935cf6e31ed7f47c5046ae17cb25",
}
DELTA_VERSION = "4.1.0"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    values = [
        message(vehicle, moment.isoformat(), gps={"lat": 40.712776, "lon": -74.005974})
        for vehicle, moment in MOMENTS.items()
    ]
    now = datetime(2026, 3, 9, tzinfo=UTC)
    land_values(lake, values, append_time=now)
    for moment in MOMENTS.values():
        refresh_hour(lake, f"{moment:%Y-%m-%dT%H}", frozenset(MOMENTS), LATE_AFTER)
    return lake


def files(lake: Lake) -> list[Path]:
    return sorted(Path(lake.url, "telemetry").rglob("*.parquet"))


def test_files_say_that_times_are_instants(lake: Lake) -> None:
    """What any reader needs: UTC in the type, microseconds, no INT96, the hour as a folder."""
    for path in files(lake):
        schema = pyarrow.parquet.ParquetFile(path).schema
        column = schema.column(schema.names.index("event_time"))
        assert column.physical_type == "INT64"
        logical = json.loads(column.logical_type.to_json())
        assert logical["isAdjustedToUTC"] is True
        assert logical["timeUnit"] == "microseconds"
        assert "INT96" not in {schema.column(i).physical_type for i in range(len(schema))}
        assert "event_hour" not in schema.names
        assert path.parent.name.startswith("event_hour=2026-03-08T")


def test_arrow_in_another_time_zone_reads_the_same(lake: Lake) -> None:
    script = (
        "import pyarrow.parquet as p, sys, json, time\n"
        "found = {}\n"
        "for path in sys.argv[1:]:\n"
        "    rows = p.read_table(path, partitioning=None)\n"
        "    found |= dict(zip(rows['vehicle_id'].to_pylist(),"
        " rows['event_time'].cast('int64').to_pylist()))\n"
        "print(json.dumps([time.tzname[0], found]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, files(lake))],
        env={**os.environ, "TZ": ZONE.key}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    zone, found = json.loads(done.stdout)
    assert zone == "EST"
    assert found == {vehicle: micros(moment) for vehicle, moment in MOMENTS.items()}


def test_spark_in_another_time_zone_reads_the_same(lake: Lake) -> None:
    if not SPARK.exists():
        pytest.skip("pyspark is absent: make test-spark")
    done = subprocess.run(
        [str(SPARK), str(ROOT / "tests" / "spark" / "read_lake.py"), lake.url, delta_jars()],
        env={k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "SPARK_HOME")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("zone") == ZONE.key
    expected = sorted(
        [
            f"{moment:%Y-%m-%dT%H}", vehicle, micros(moment),
            f"{moment.astimezone(ZONE):%Y-%m-%d %H:%M:%S.%f}", "40.712776",
        ]
        for vehicle, moment in MOMENTS.items()
    )  # fmt: skip
    assert set(found) == {"delta", "parquet"}
    for read in found.values():
        assert (read["hour_type"], read["time_type"]) == ("string", "timestamp")
        assert read["rows"] == expected
        assert read["one_hour"] == 1


def micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def delta_jars() -> str:
    """Delta's jars for Spark, from Maven Central or the local cache, as they are known."""
    from jgo.maven import MavenContext

    paths = []
    for artifact, digest in DELTA.items():
        jar = MavenContext().project("io.delta", artifact).at_version(DELTA_VERSION).artifact()
        path = Path(jar.resolve())
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest, path
        paths.append(str(path))
    return ",".join(paths)
