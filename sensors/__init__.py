"""Dagster sensors and schedules: when work is requested. What to request is decided elsewhere."""
