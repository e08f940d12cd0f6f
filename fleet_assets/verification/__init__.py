"""Proof that what is stored is what a rebuild gives: recomputed, compared, never repaired.

What belongs here: how each table is recomputed without writing it, and what differs. Step by step:
each is made from its stored inputs, so the first difference in the order of the flow is the cause.
"""
