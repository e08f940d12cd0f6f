"""Questions that analysts ask, as files: SQL on the marts, and how its answer is best looked at.

`docs/questions/*.sql` begin with two comments: the question, and the plot: its kind, the columns
across and up, and the column that splits it (`-- plot: line date_local used_share fleet_id`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import polars as pl

from fleet_assets.errors import FleetError
from fleet_assets.warehouse.connection import open_connection

FOLDER: Final = Path(__file__).parents[1] / "docs" / "questions"
Kind = Literal["bar", "barh", "line", "points"]


@dataclass(frozen=True)
class Plot:
    """How an answer is looked at.

    Attributes:
        kind: bars, lying bars, lines over time, points over time.
        across: column of names or times.
        up: column of numbers.
        by: column that splits it; None: it is one.
    """

    kind: Kind
    across: str
    up: str
    by: str | None = None


@dataclass(frozen=True)
class Question:
    """One question: its number from 1, its name, its words, its SQL and its plot."""

    number: int
    name: str
    title: str
    sql: str
    plot: Plot


def questions(folder: Path = FOLDER) -> list[Question]:
    """All of them, in order.

    Raises:
        FleetError: a file does not begin as it has to.
    """
    return [_read(path) for path in sorted(folder.glob("*.sql"))]


def question(number: int) -> Question:
    """One of them.

    Raises:
        FleetError: there is none of this number.
    """
    known = {each.number: each for each in questions()}
    if number not in known:
        raise FleetError(
            f"There is no question {number}: `fleet questions` lists 1 to {len(known)}."
        )
    return known[number]


def answer(postgres_url: str, asked: Question) -> pl.DataFrame:
    """The rows that answer it.

    Args:
        postgres_url: the warehouse, or a login of its own (`fleet bi grant`).
        asked: the question.

    Raises:
        FleetError: PostgreSQL cannot be reached.
        psycopg.Error: the login may not read what is asked, or the marts are not built yet.
    """
    with open_connection(postgres_url) as connection:
        cursor = connection.execute(asked.sql.encode())
        names = [column.name for column in cursor.description or ()]
        rows = cursor.fetchall()
    frame = pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)
    return frame.with_columns(pl.col(pl.Decimal).cast(pl.Float64))


def _read(path: Path) -> Question:
    first, second, *rest = path.read_text().splitlines()
    number, _, name = path.stem.partition("-")
    kind, *columns = second.removeprefix("-- plot: ").split()
    if not first.startswith("-- ") or kind not in get_args(Kind) or len(columns) not in (2, 3):
        raise FleetError(
            f"{path}: the first line has to be a comment with the question, the second one"
            f" `-- plot: KIND ACROSS UP [BY]` with KIND one of {', '.join(get_args(Kind))}."
        )
    plot = Plot(kind, *columns)  # type: ignore[arg-type]
    return Question(int(number), name, first.removeprefix("-- "), "\n".join(rest) + "\n", plot)
