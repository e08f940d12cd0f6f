"""Errors that reach a user: one line that names the cause and the cure."""

from __future__ import annotations


class FleetError(Exception):
    """Shown by the command line as one line, without a traceback."""


class NotRunningError(FleetError):
    """A service is needed, none is set, and no ``fleet up`` has left its address."""
