"""What counts as a difference, and which hours are drawn."""

from __future__ import annotations

from random import Random

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from fleet_assets.verification.differences import SAMPLE, Difference, difference
from fleet_assets.verification.sample import sampled_hours
from fleet_assets.verification.verify import repair_command

NUMBERS = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=False))
SCHEMA = {"key": pl.Int64, "number": pl.Float64, "text": pl.String}
TABLES = st.dictionaries(
    st.integers(0, 20), st.tuples(NUMBERS, st.one_of(st.none(), st.text(max_size=3)))
)


def frame(rows: dict[int, tuple[float | None, str | None]]) -> pl.DataFrame:
    return pl.DataFrame([(k, *v) for k, v in rows.items()], schema=SCHEMA, orient="row")


@given(TABLES, st.randoms(use_true_random=False))
def test_the_same_rows_in_any_order_do_not_differ(rows: dict[int, object], order: Random) -> None:
    stored = frame(rows)  # type: ignore[arg-type]
    shuffled = stored.sample(fraction=1, shuffle=True, seed=order.randint(0, 99))
    assert difference("t", "h", stored, shuffled, ["key"]) is None
    assert difference("t", "h", stored, shuffled, []) is None


@given(TABLES, TABLES)
def test_each_key_is_counted_once(one: dict[int, object], other: dict[int, object]) -> None:
    found = difference("t", "h", frame(one), frame(other), ["key"])  # type: ignore[arg-type]
    missing, extra = len(other.keys() - one.keys()), len(one.keys() - other.keys())
    counts = (found.missing, found.extra) if found else (0, 0)
    assert counts == (missing, extra)
    if found:
        assert 1 <= len(found.sample) <= SAMPLE
        assert found.changed <= len(one.keys() & other.keys())


def test_last_digits_of_floats_do_not_count_and_others_do() -> None:
    stored = pl.DataFrame({"key": [1], "number": [0.1 + 0.2]})
    near = pl.DataFrame({"key": [1], "number": [0.3]})
    far = pl.DataFrame({"key": [1], "number": [0.3000001]})
    assert difference("t", "h", stored, near, ["key"]) is None
    found = difference("t", "h", stored, far, ["key"])
    assert found is not None
    assert found.sample == ("1: number 0.30000000000000004 in place of 0.3000001",)
    assert difference("t", "h", stored, stored.with_columns(number=None), ["key"]) is not None


def test_without_a_key_rows_are_counted() -> None:
    stored = pl.DataFrame({"a": [1, 1, 2]})
    found = difference("t", "h", stored, pl.DataFrame({"a": [1, 2, 2]}), [])
    assert found is not None
    assert found.changed == 2


HELD = st.dictionaries(st.integers(0, 99).map(lambda n: f"{n:02}"), st.integers(0, 100), min_size=1)


@given(HELD, st.integers(1, 400), st.dates())
def test_hours_are_drawn_by_the_date_within_the_limit(
    held: dict[str, int], most: int, night: object
) -> None:
    drawn = sampled_hours(held, most, str(night))
    assert drawn == sampled_hours(dict(reversed(held.items())), most, str(night))
    assert drawn
    assert drawn == sorted(set(drawn) & held.keys())
    assert len(drawn) == 1 or sum(held[hour] for hour in drawn) <= most
    if sum(held.values()) <= most:
        assert drawn == sorted(held)


def test_other_nights_draw_other_hours() -> None:
    held = {f"{n:02}": 10 for n in range(24)}
    assert len({tuple(sampled_hours(held, 50, f"2026-01-{day:02}")) for day in range(1, 20)}) > 10


def test_the_repair_names_tables_as_a_backfill_knows_them() -> None:
    def at(table: str, key: str) -> Difference:
        return Difference(table, key, 1, 0, 0, ())

    trips, telemetry = at("warehouse.trips", "2026-01-01T05"), at("telemetry", "2026-01-01T07")
    assert repair_command([trips]) == (
        "fleet backfill warehouse_trips --from 2026-01-01T05 --to 2026-01-01T05"
    )
    # marts follow telemetry in its job; a day is named whole
    found = [at("marts.fct_vehicle_days", "2026-01-02"), trips, telemetry]
    assert repair_command(found) == (
        "fleet backfill telemetry warehouse_trips --from 2026-01-01 --to 2026-01-02"
    )
