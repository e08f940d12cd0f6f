"""Making history anew on demand: what can be named, how it is cut into runs, what it will cost.

What belongs here: the steps by name, plans and their cost (pure), and the loop that asks for run
after run. What does not: Dagster (`local/dagster_runs.py` asks it) and what a step does.
"""
