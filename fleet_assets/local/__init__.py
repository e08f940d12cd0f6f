"""Kafka, PostgreSQL and Dagster on this machine: start, supervise, stop, look at them."""
