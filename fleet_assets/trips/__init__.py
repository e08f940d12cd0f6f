"""Trips: when a vehicle was on its way, how far it went, and how long it stood meanwhile."""
