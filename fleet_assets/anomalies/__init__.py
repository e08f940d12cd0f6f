"""Anomalies: what counts as one, how it is told, and what becomes of it when history changes."""
