"""Reads the vehicle register from a CSV file, all of it or none of it.

What belongs here: the file's form, and errors with the line and field that a user must correct.
What does not: what a vehicle's attributes may hold (``vehicle.py``) and the database.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from fleet_assets.errors import FleetError
from fleet_assets.warehouse.vehicle import ATTRIBUTES, REQUIRED, Vehicle

DELIMITERS = ",;\t"
SHOWN_ERRORS = 50


@dataclass(frozen=True)
class FieldError:
    """One thing to correct; ``field`` is None where the whole line is at fault."""

    line: int
    field: str | None
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}" + (f", {self.field}" if self.field else "")
        return f"{where}: {self.message}"


class VehiclesFileError(FleetError):
    """The file cannot be imported; holds every error that it has."""

    def __init__(self, path: Path, errors: Sequence[FieldError]) -> None:
        self.errors = tuple(errors)
        shown = [f"  {error}" for error in self.errors[:SHOWN_ERRORS]]
        if len(self.errors) > SHOWN_ERRORS:
            shown.append(f"  … and {len(self.errors) - SHOWN_ERRORS} more")
        count = "1 error" if len(self.errors) == 1 else f"{len(self.errors)} errors"
        super().__init__("\n".join([f"{path}: {count}, nothing was imported:", *shown]))


def parse_vehicles_csv(path: Path | str) -> list[Vehicle]:
    """The vehicles of a CSV file with a header line, in its order.

    Fields are separated by commas, semicolons or tabs; a byte order mark, CRLF and blank lines
    do no harm; an empty field takes its default.

    Raises:
        VehiclesFileError: anything is wrong; it lists every error with line and field.
    """
    path = Path(path)
    text = _read(path)
    first_line = text.lstrip().partition("\n")[0]
    delimiter = max(DELIMITERS, key=first_line.count)
    lines = _lines(path, text, delimiter)
    header_line, header = next(lines, (1, []))
    if not header:
        message = f"the file is empty; the header needs {', '.join(REQUIRED)}"
        raise VehiclesFileError(path, [FieldError(header_line, None, message)])
    names = [name.strip().lower() for name in header]
    if errors := _header_errors(header_line, names):
        raise VehiclesFileError(path, errors)

    vehicles: list[Vehicle] = []
    errors = []
    seen: dict[tuple[str, str], int] = {}
    for line, fields in lines:
        if len(fields) != len(names):
            message = f"{len(fields)} fields, but the header has {len(names)}"
            errors.append(FieldError(line, None, message))
            continue
        given = {name: field.strip() for name, field in zip(names, fields, strict=True)}
        errors += _repeats(seen, line, given)
        try:
            filled = {name: value for name, value in given.items() if value}
            vehicles.append(Vehicle.model_validate(filled))
        except ValidationError as error:
            errors += _field_errors(line, given, error)
    if errors:
        raise VehiclesFileError(path, errors)
    return vehicles


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FleetError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = "not UTF-8 text; save the file as CSV UTF-8"
        raise VehiclesFileError(path, [FieldError(line, None, message)]) from None


def _lines(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Records that are not blank, each with the number of its first line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise VehiclesFileError(path, [FieldError(line, None, str(error))]) from None
        if any(field.strip() for field in fields):
            yield line, fields


def _header_errors(line: int, names: Sequence[str]) -> list[FieldError]:
    unknown = [name for name in dict.fromkeys(names) if name not in ATTRIBUTES]
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1 and name]
    missing = [name for name in REQUIRED if name not in names]
    return [
        *(
            FieldError(line, name, f"unknown column; known are {', '.join(ATTRIBUTES)}")
            for name in unknown
        ),
        *(FieldError(line, name, "this column is there twice") for name in repeated),
        *(FieldError(line, name, "this column is required") for name in missing),
    ]


def _field_errors(line: int, given: dict[str, str], error: ValidationError) -> list[FieldError]:
    found = []
    for detail in error.errors():
        field = str(detail["loc"][0])
        reason = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
        empty = detail["type"] == "missing"
        message = "required, but empty" if empty else f"{given[field]!r} {reason}"
        found.append(FieldError(line, field, message))
    return found


def _repeats(
    seen: dict[tuple[str, str], int], line: int, given: dict[str, str]
) -> Iterator[FieldError]:
    """Ids and VINs that an earlier line has; ``seen`` remembers them for the next line."""
    for field, value in (("id", given["id"]), ("vin", given["vin"].upper())):
        if value and (first := seen.setdefault((field, value), line)) != line:
            yield FieldError(line, field, f"{value!r} is already in line {first}")
