"""The domain of telemetry: from the bytes of messages to rows, rejects, counts and vehicle hours.

Pure functions on frames. Nothing here knows Kafka, Delta, PostgreSQL or Dagster.
"""
