"""The Spark peer of the pipeline: JSON lines → typed columns → Parquet, run by an own Python.

Prints its times as JSON: `cpu` of the Java process, `wall` by the clock. Reading a file instead of
Kafka favours it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

from bench.spark_java import JavaProcess, java_of_environment

_SHAPE = (
    "vehicle_id string, timestamp string, engine_rpm double, speed double,"
    " throttle_position double, coolant_temp double, fuel_level double, gps struct<lat:double,"
    "lon:double>, accelerometer struct<x:double,y:double,z:double>, odometer double,"
    " engine_load double, battery_voltage double, heading double, ignition boolean"
)


def main(path: str, repeats: int) -> None:
    """Reads the file so many times after a first one that does not count."""
    spark = SparkSession.builder.master(f"local[{os.cpu_count()}]").getOrCreate()
    java = JavaProcess.of_spark()
    times: dict[str, list[float]] = {"cpu": [], "wall": []}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(repeats + 1):
            before, wall = java.cpu_seconds(), time.perf_counter()
            rows = spark.read.text(path).select(f.from_json("value", _SHAPE).alias("m"))
            rows.select("m.*").write.mode("overwrite").parquet(f"{folder}/out")
            after = java.cpu_seconds()
            if repeat:
                times["cpu"].append(after - before)
                times["wall"].append(time.perf_counter() - wall)
    spark.stop()
    print(json.dumps(times))


if __name__ == "__main__":
    with java_of_environment():
        main(sys.argv[1], int(sys.argv[2]))
