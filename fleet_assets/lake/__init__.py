"""Adapter to the lake: Delta tables, their transactions and what has been taken into them.

Reads and commits; what rows mean is decided in `fleet_assets.telemetry`.
"""
