"""The way of a reject: out to the dead-letter topic, and back into the telemetry topic.

What belongs here: which rejects there are and what became of them, publishing them, mending and
sending them again. Adapters do the reading and writing; Dagster and the command line call this.
"""
