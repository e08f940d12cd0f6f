"""`fleet doctor`: what is wrong, and what cures it.

`checks` are pure functions from facts to findings; `gather` asks Kafka, PostgreSQL, the lake and
the machine for the facts; `examination` joins them; `cures` does what `--fix` may do.
"""
