"""Faults that are injected into healthy telemetry, and labels: pure functions on frames."""
