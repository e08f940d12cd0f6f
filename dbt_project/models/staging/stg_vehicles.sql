select
    id as vehicle_id,
    vin,
    make,
    model,
    year,
    vehicle_type,
    fleet_id,
    region,
    status,
    refrigerated,
    has_pto,
    tank_gallons,
    redline_rpm,
    nominal_voltage,
    time_zone,
    first_imported_at as registered_at,
    updated_at
from {{ source('warehouse', 'vehicles') }}
