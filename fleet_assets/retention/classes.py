"""Reading the classes of retention, with errors that name the field and the cure."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.errors import FleetError

CLASSES: Final = Path(__file__).with_name("classes.yaml")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RetentionClass(_Strict):
    """What is kept for the same time; see the head of the file.

    Attributes:
        warehouse: table → column of the time that its rows count from; None: it copies the table
            of the lake of the same name.
    """

    keep: timedelta = Field(gt=timedelta(0))
    archive: bool = True
    after: str | None = None
    lake: tuple[str, ...] = ()
    warehouse: dict[str, str | None] = Field(default_factory=dict)

    def cutoff(self, now: datetime) -> datetime:
        """What was over before this moment is old."""
        return now - self.keep


class Retention(_Strict):
    """All classes, in the order in which their tables are worked on."""

    classes: dict[str, RetentionClass]
    kept: dict[str, str]

    @model_validator(mode="after")
    def _each_table_once(self) -> Retention:
        named = [*self.kept, *(table for it in self.classes.values() for table in it.lake)]
        twice = sorted({name for name in named if named.count(name) > 1})
        missing = sorted(set(TABLE_BY_NAME) - set(named))
        unknown = sorted(set(named) - set(TABLE_BY_NAME))
        for names, what in (
            (twice, "named more than once"),
            (missing, "named nowhere; a table that never goes stands under `kept`"),
            (unknown, "no table of the lake"),
        ):
            if names:
                raise ValueError(f"{', '.join(names)}: {what}")
        return self

    @model_validator(mode="after")
    def _in_order(self) -> Retention:
        before: dict[str, RetentionClass] = {}
        for name, it in self.classes.items():
            if it.after is not None and it.after not in before:
                raise ValueError(f"{name}: `after` names {it.after}, which does not stand above it")
            if it.after is not None and it.keep < before[it.after].keep:
                raise ValueError(
                    f"{name} is kept for a shorter time than {it.after}, which it is made from"
                )
            before[name] = it
        for name, it in self.classes.items():
            for table, column in it.warehouse.items():
                if column is None and table not in it.lake:
                    raise ValueError(
                        f"{name}: warehouse table {table} needs the column of its time, or has to"
                        " stand under `lake`, too"
                    )
        return self

    def with_raw_kept(self, keep: timedelta | None) -> Retention:
        """The same with raw messages kept for another time; None: as it is.

        A time that is longer than that of telemetry holds telemetry up, too.
        """
        if keep is None or "raw" not in self.classes:
            return self
        raw = self.classes["raw"].model_copy(update={"keep": keep})
        return self.model_copy(update={"classes": {**self.classes, "raw": raw}})

    def class_of(self, table: str) -> str | None:
        """Name of the class of a table of the lake; None: it is kept."""
        return next((name for name, it in self.classes.items() if table in it.lake), None)


@lru_cache(maxsize=8)
def read_classes(path: Path | None = None) -> Retention:
    """The classes of a file.

    Args:
        path: None: those that come with the platform.

    Raises:
        FleetError: the file is not there, or says something that makes no sense.
    """
    source = path or CLASSES
    try:
        given = yaml.safe_load(source.read_text())
        return Retention.model_validate(given)
    except (OSError, yaml.YAMLError) as error:
        raise FleetError(f"{source}: {error}") from None
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'file'}: {one['msg']}" for one in error.errors()
        )
        raise FleetError(f"{source}: {found}") from None
