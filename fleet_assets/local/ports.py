"""TCP ports on this machine: is one free, who holds it, give me any."""

from __future__ import annotations

import os
import random
import socket

import psutil

from fleet_assets.errors import FleetError

LOOPBACK = "127.0.0.1"
_OF_SERVERS = range(10_000, 32_768)


def ensure_free(port: int, service: str, setting: str) -> None:
    """Raise unless ``port`` can be listened on.

    Raises:
        FleetError: naming the port, its holder if the system tells, and the setting to change.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise FleetError(
                f"Port {port} for {service} cannot be used ({os.strerror(error.errno or 0).lower()}"
                f"{_holder(port)}): free it, or set {setting} to another port."
            ) from None


def free_port() -> int:
    """A port that nobody listens on now, below those that outgoing connections take meanwhile."""
    for port in random.sample(_OF_SERVERS, len(_OF_SERVERS)):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise FleetError("No port from 10000 to 32767 is free on this machine.")


def is_listening(port: int) -> bool:
    """Whether a connection to ``port`` is accepted."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def _holder(port: int) -> str:
    holder = holder_of(port)
    return "" if holder is None else f", held by {holder}"


def holder_of(port: int) -> str | None:
    """Who listens on ``port``, as far as the system tells."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return None
    for connection in connections:
        if (
            connection.status == psutil.CONN_LISTEN
            and connection.laddr
            and connection.laddr.port == port
            and connection.pid
        ):
            try:
                return f"{psutil.Process(connection.pid).name()}, pid {connection.pid}"
            except psutil.Error:
                return f"pid {connection.pid}"
    return None
