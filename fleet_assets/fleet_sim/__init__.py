"""Simulated and replayed telemetry: a physically consistent fleet, its faults and its transport.

What belongs here: everything that makes messages. What does not: anything that reads them.
"""
