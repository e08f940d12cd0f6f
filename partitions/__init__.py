"""Time as the platform cuts it: hours of event time, their keys, contiguous ranges, lateness.

Pure functions on keys and times; `definitions` turns them into Dagster partitions.
"""
