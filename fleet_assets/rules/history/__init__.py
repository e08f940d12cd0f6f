"""Rules that look at days and trips instead of samples.

Their inputs are summaries, made once from telemetry and trips.
"""

from fleet_assets.rules.history.codes import CODE_TRIP_SCHEMA, new_codes, recurring_codes
from fleet_assets.rules.history.days import IDLE_DAY_SCHEMA, idle_days
from fleet_assets.rules.history.fuel import FUEL_TRIP_SCHEMA, fuel_losses
from fleet_assets.rules.history.signals import SIGNAL_TRIP_SCHEMA, lost_signals

__all__ = [
    "CODE_TRIP_SCHEMA", "FUEL_TRIP_SCHEMA", "IDLE_DAY_SCHEMA", "SIGNAL_TRIP_SCHEMA",
    "fuel_losses", "idle_days", "lost_signals", "new_codes", "recurring_codes",
]  # fmt: skip
