"""Reading the vehicle register from CSV: what is accepted, and what each mistake is told as."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet_assets.errors import FleetError
from fleet_assets.warehouse.vehicle import Vehicle
from fleet_assets.warehouse.vehicles_csv import FieldError, VehiclesFileError, parse_vehicles_csv

HEADER = "id,vin,make,model,year,vehicle_type"
TRUCK = "T-1,1FTEETXX2HA000001,Volvo,FH,2020,truck"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "vehicles.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def errors_of(path: Path) -> list[FieldError]:
    with pytest.raises(VehiclesFileError) as caught:
        parse_vehicles_csv(path)
    return list(caught.value.errors)


def test_six_columns_are_enough_and_the_rest_takes_defaults(tmp_path: Path) -> None:
    (vehicle,) = parse_vehicles_csv(write(tmp_path, f"{HEADER}\n{TRUCK}\n"))
    assert vehicle == Vehicle(
        id="T-1", vin="1FTEETXX2HA000001", make="Volvo", model="FH", year=2020,
        vehicle_type="truck", fleet_id="default", region="unknown", status="active",
        refrigerated=False, has_pto=False, tank_gallons=None, redline_rpm=None,
        nominal_voltage=12, time_zone="UTC",
    )  # fmt: skip


def test_all_columns_are_read(tmp_path: Path) -> None:
    header = (
        HEADER + ",fleet_id,region,status,refrigerated,has_pto,tank_gallons,redline_rpm,"
        "nominal_voltage,time_zone"
    )
    row = TRUCK + ",north,EU,maintenance,yes,TRUE,150.5,2500,24,Europe/Berlin"
    (vehicle,) = parse_vehicles_csv(write(tmp_path, f"{header}\n{row}\n"))
    assert vehicle.fleet_id == "north"
    assert vehicle.region == "EU"
    assert vehicle.status == "maintenance"
    assert vehicle.refrigerated
    assert vehicle.has_pto
    assert vehicle.tank_gallons == 150.5
    assert vehicle.redline_rpm == 2500
    assert vehicle.nominal_voltage == 24
    assert vehicle.time_zone == "Europe/Berlin"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"\ufeff{HEADER}\n{TRUCK}\n", id="byte order mark"),
        pytest.param(f"{HEADER}\r\n{TRUCK}\r\n", id="CRLF"),
        pytest.param(f"{HEADER}\n{TRUCK}\n".replace(",", ";"), id="semicolons"),
        pytest.param(f"{HEADER}\n{TRUCK}\n".replace(",", "\t"), id="tabs"),
        pytest.param(f"\n{HEADER}\n\n,,,,,\n{TRUCK}\n\n", id="blank lines"),
        pytest.param(f"{HEADER.upper()}\n{TRUCK.replace(',', ' , ')}", id="spaces and capitals"),
        pytest.param(f"{HEADER}\n{TRUCK.replace('1FTEETXX', '1fteetxx')}", id="small VIN"),
        pytest.param(f'{HEADER}\n"T-1",{TRUCK.partition(",")[2]}', id="quotes"),
    ],
)
def test_forms_of_the_file_do_no_harm(tmp_path: Path, text: str) -> None:
    (vehicle,) = parse_vehicles_csv(write(tmp_path, text))
    assert (vehicle.id, vehicle.vin, vehicle.year) == ("T-1", "1FTEETXX2HA000001", 2020)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "(none)"),
        ("id", "x" * 129),
        ("id", "bell\x07"),
        ("vin", "1FTEETXX2HA00000"),
        ("vin", "1FTEETXX2HA00000O"),
        ("vin", "1FTEETXX2HA00000!"),
        ("year", "19x"),
        ("year", "1850"),
        ("vehicle_type", "boat"),
        ("status", "gone"),
        ("refrigerated", "maybe"),
        ("tank_gallons", "-1"),
        ("tank_gallons", "nan"),
        ("redline_rpm", "0"),
        ("nominal_voltage", "13"),
        ("time_zone", "Mars/Base"),
        ("time_zone", "../etc/passwd"),
        ("make", ""),
    ],
)
def test_a_bad_value_is_told_with_line_and_field(tmp_path: Path, field: str, value: str) -> None:
    values = dict(zip(HEADER.split(","), TRUCK.split(","), strict=True)) | {field: value}
    text = ",".join(values) + "\n\n" + ",".join(values.values()) + "\n"
    (error,) = errors_of(write(tmp_path, text))
    assert (error.line, error.field) == (3, field)


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    lines = [
        HEADER,
        "T-1,1FTEETXX2HA000001,Volvo,FH,x,boat",
        "T-2,1FTEETXX2HA000002,Volvo,FH,2020",
        "T-1,1fteetxx2ha000001,Volvo,FH,2020,truck",
    ]
    path = write(tmp_path, "\n".join(lines))
    found = [(error.line, error.field) for error in errors_of(path)]
    assert found == [(2, "year"), (2, "vehicle_type"), (3, None), (4, "id"), (4, "vin")]
    with pytest.raises(FleetError, match="5 errors, nothing was imported") as caught:
        parse_vehicles_csv(path)
    assert "line 4, vin: '1FTEETXX2HA000001' is already in line 2" in str(caught.value)


@pytest.mark.parametrize(
    ("header", "field"),
    [
        (HEADER + ",colour", "colour"),
        (HEADER + ",make", "make"),
        (HEADER.replace("vin,", ""), "vin"),
        (HEADER + ",", ""),
    ],
    ids=["unknown", "twice", "missing", "without a name"],
)
def test_a_bad_header_names_the_column(tmp_path: Path, header: str, field: str) -> None:
    (error,) = errors_of(write(tmp_path, f"{header}\n{TRUCK}\n"))
    assert (error.line, error.field) == (1, field)


def test_an_empty_file_says_what_it_needs(tmp_path: Path) -> None:
    (error,) = errors_of(write(tmp_path, " \n"))
    assert "id, vin, make, model, year, vehicle_type" in error.message


def test_bytes_that_are_not_utf8_are_told_with_their_line(tmp_path: Path) -> None:
    data = f"{HEADER}\n{TRUCK}\n".encode() + b"T-2,x,Citro\xebn"
    (error,) = errors_of(write(tmp_path, data))
    assert (error.line, error.field) == (3, None)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"no\.csv cannot be read"):
        parse_vehicles_csv(tmp_path / "no.csv")
