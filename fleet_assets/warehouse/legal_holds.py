"""Legal holds: vehicles whose rows neither retention nor an erasure may touch.

Holds are kept with who placed and who lifted them, and why; nothing of them is ever deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fleet_assets.warehouse.connection import WarehouseError, transact


@dataclass(frozen=True)
class LegalHold:
    """One hold; not lifted: in force."""

    hold_id: int
    vehicle_id: str
    reason: str
    placed_by: str
    placed_at: datetime
    lifted_by: str | None
    lifted_at: datetime | None
    lifted_because: str | None

    @property
    def in_force(self) -> bool:
        """It has not been lifted."""
        return self.lifted_at is None


def place_hold(postgres_url: str, vehicle_id: str, reason: str, by: str) -> None:
    """Places a hold on a vehicle, registered or not.

    Raises:
        WarehouseError: no reason is given, or a hold is in force already.
    """
    if not reason.strip():
        raise WarehouseError("A hold is placed with a reason: give --reason.")
    given = (vehicle_id, reason.strip(), by)
    if not transact(postgres_url, lambda c: c.execute(_PLACE, given).rowcount):
        raise WarehouseError(f"{vehicle_id} is held already: see `fleet retention hold list`.")


def lift_hold(postgres_url: str, vehicle_id: str, reason: str, by: str) -> None:
    """Lifts the hold of a vehicle.

    Raises:
        WarehouseError: no reason is given, or no hold is in force.
    """
    if not reason.strip():
        raise WarehouseError("A hold is lifted with a reason: give --reason.")
    given = (by, reason.strip(), vehicle_id)
    if not transact(postgres_url, lambda c: c.execute(_LIFT, given).rowcount):
        raise WarehouseError(f"{vehicle_id} is not held: see `fleet retention hold list`.")


def legal_holds(postgres_url: str) -> list[LegalHold]:
    """All holds, also lifted ones, oldest first."""
    found = transact(postgres_url, lambda c: c.execute(_LIST).fetchall())
    return [LegalHold(*row) for row in found]


def held_vehicles(postgres_url: str) -> frozenset[str]:
    """Vehicles with a hold in force."""
    return frozenset(hold.vehicle_id for hold in legal_holds(postgres_url) if hold.in_force)


_PLACE: Final = """
insert into warehouse.legal_holds (vehicle_id, reason, placed_by) values (%s, %s, %s)
on conflict (vehicle_id) where lifted_at is null do nothing
"""
_LIFT: Final = """
update warehouse.legal_holds
set lifted_by = %s, lifted_because = %s, lifted_at = clock_timestamp()
where vehicle_id = %s and lifted_at is null
"""
_LIST: Final = """
select hold_id, vehicle_id, reason, placed_by, placed_at, lifted_by, lifted_at, lifted_because
from warehouse.legal_holds
order by hold_id
"""
