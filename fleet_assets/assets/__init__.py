"""Dagster assets and checks: thin wiring, one file per stage.

What belongs here: names, groups, dependencies, partitions, metadata, events. What does not: any
decision about data. Whatever could be tested without Dagster lives elsewhere.
"""
