"""The Spark peer of features: a dozen by rolling windows, run by a Python of its own.

Reads rows as Parquet, writes the last of each vehicle and step as Parquet, and prints its times as
JSON: `cpu` of the Java process, `wall` by the clock, `bytes` that it holds at most.
"""

from __future__ import annotations

import json
import os
import sys
import time

from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as f

from bench.spark_java import JavaProcess, java_of_environment

MICROSECONDS = 1_000_000
STEP_US = 10 * MICROSECONDS


def main(path: str, out: str, dozen: str, repeats: int) -> None:
    """Computes the features so many times after a first one that does not count."""
    spark = (
        SparkSession.builder.master(f"local[{os.cpu_count()}]")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", str(os.cpu_count()))
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    java = JavaProcess.of_spark()
    times: dict[str, list[float]] = {"cpu": [], "wall": []}
    for repeat in range(repeats + 1):
        before, wall = java.cpu_seconds(), time.perf_counter()
        _features(spark, path, json.loads(dozen)).write.mode("overwrite").parquet(out)
        after = java.cpu_seconds()
        if repeat:
            times["cpu"].append(after - before)
            times["wall"].append(time.perf_counter() - wall)
    told = json.dumps(times | {"bytes": java.most_bytes()})
    spark.stop()
    print(told)


def _features(spark: SparkSession, path: str, dozen: dict[str, list[str]]):  # type: ignore[no-untyped-def]
    """One row a vehicle and step: the last of the step."""
    in_order = Window.partitionBy("vehicle_id").orderBy("us")
    rows = (
        spark.read.parquet(path)
        .withColumn("moving", (f.col("speed") >= 3).cast("double"))
        .withColumn("rpm_change", f.abs(f.col("rpm") - f.lag("rpm").over(in_order)))
    )
    statistics = {"mean": f.avg, "std": f.stddev_samp, "max": f.max}
    for name, (column, what, seconds) in dozen.items():
        trailing = in_order.rangeBetween(1 - int(seconds) * MICROSECONDS, 0)
        rows = rows.withColumn(name, statistics[what](column).over(trailing))
    step = (f.col("us") / STEP_US).cast("long") * STEP_US
    in_step = Window.partitionBy("vehicle_id", "step_us").orderBy(f.col("us").desc())
    return (
        rows.withColumn("step_us", step)
        .withColumn("place", f.row_number().over(in_step))
        .where("place = 1")
        .select("vehicle_id", "step_us", *dozen)
    )


if __name__ == "__main__":
    with java_of_environment():
        main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
