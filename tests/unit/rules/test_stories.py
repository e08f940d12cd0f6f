"""Each rule in stories: what it must find, must not find, and must not be sure about."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from drives import START, WANTED, Drive, found, found_by_hours, in_force, pieces, vehicle
from polars.testing import assert_frame_equal
from stories import OF_DAYS, ON_THE_ROAD
from stories.past import JUDGES, Past
from stories.story import CATALOGUE, NOISE, Story, home_again, names, on_the_road

from fleet_assets.rules.repeated import findings_of
from fleet_assets.rules.samples import samples_of

TOLD = [(story, rate) for story in ON_THE_ROAD for rate in story.all_rates]
POSITIVE = [story for story in ON_THE_ROAD if story.case == "positive"]
NEXT_HOUR = START.replace(minute=0) + timedelta(hours=1)
CASES = {"positive", "near miss", "unknown", "gap", "hour", "1 Hz", "another rate"}
"""That every rule has; one that names exemptions has those, too."""


def test_every_rule_has_every_case() -> None:
    told = {(story.rule, case) for story in ON_THE_ROAD for case in story.cases}
    told |= {(story.rule, story.case) for story in OF_DAYS}
    asked = {(rule.id, case) for rule in CATALOGUE.rules for case in CASES}
    asked |= {(rule.id, "exemption") for rule in CATALOGUE.rules if rule.exempt}
    asked -= {(rule, rate) for rule in JUDGES for rate in ("1 Hz", "another rate")}
    assert sorted(asked - told) == []


@pytest.mark.parametrize(("story", "rate_hz"), TOLD, ids=[f"{s} · {r:g} Hz" for s, r in TOLD])
def test_what_happens_is_what_is_found(story: Story, rate_hz: float) -> None:
    trip, begin, _ = story.drive(rate_hz)
    rows = story.told(found(trip, known=story.known(rate_hz)))
    assert names(rows) == story.finds
    if story.span is not None and rate_hz >= 1:
        shown = [rows[name][0] - START for name in ("started_at", "ended_at")]
        meant = [story.span[0], story.span[1] - 1 / rate_hz]
        times = [time.total_seconds() - begin for time in shown]
        assert times == pytest.approx(meant, abs=1.01 / rate_hz)


@pytest.mark.parametrize("story", ON_THE_ROAD, ids=str)
def test_the_turn_of_the_hour_in_the_midst_of_it_changes_nothing(story: Story) -> None:
    rate_hz = story.rates[0]
    trip, begin, end = story.drive(rate_hz)
    known = story.known(rate_hz)
    rows = story.told(found(trip, known=known))
    middle = START + timedelta(seconds=(begin + end) // 2)
    if len(rows):
        lasted = rows["ended_at"][0] - rows["started_at"][0]
        middle = rows["started_at"][0] + timedelta(seconds=lasted.total_seconds() // 2)
    trip.start += NEXT_HOUR - middle
    whole = found(trip, known=known)
    assert names(story.told(whole)) == story.finds
    assert_frame_equal(found_by_hours(trip, known).drop("is_open"), whole.drop("is_open"))


@pytest.mark.parametrize("story", POSITIVE, ids=str)
def test_nothing_is_judged_in_the_workshop(story: Story) -> None:
    rate_hz = story.rates[0]
    trip, *_ = story.drive(rate_hz)
    assert found(trip, known=story.known(rate_hz, status="maintenance")).is_empty()


@pytest.mark.parametrize("story", POSITIVE, ids=str)
@pytest.mark.parametrize("what", ["in conflict", "lost"])
def test_nothing_is_told_by_messages_in_conflict_or_over_those_that_are_lost(
    story: Story, what: str
) -> None:
    rate_hz = story.rates[0]
    trip, begin, end = story.drive(rate_hz)
    second = (pl.col("event_time") - START).dt.total_microseconds() / 1e6
    inside = second.is_between(begin, end, closed="left")
    rows = trip.rows
    rows = rows.filter(~inside) if what == "lost" else rows.with_columns(conflict=inside)
    shown = findings_of(pieces(samples_of(rows, WANTED), story.known(rate_hz)), CATALOGUE)
    assert names(story.told(shown)) == ()


@pytest.mark.parametrize("story", POSITIVE, ids=str)
@pytest.mark.parametrize("rate_hz", [1.0, 5.0])
def test_clocks_that_jitter_are_no_matter(story: Story, rate_hz: float) -> None:
    trip, *_ = story.drive(rate_hz)
    rows = trip.rows
    off_us = np.random.default_rng(7).uniform(-0.2e6, 0.2e6, len(rows)) / rate_hz
    when = pl.col("event_time") + pl.duration(microseconds=pl.Series(off_us.astype(np.int64)))
    seen = samples_of(rows.with_columns(when), WANTED)
    shown = findings_of(pieces(seen, story.known(rate_hz)), CATALOGUE)
    assert names(story.told(shown)) == story.finds


@pytest.mark.parametrize("story", POSITIVE, ids=str)
def test_neighbours_do_not_touch_each_other(story: Story) -> None:
    rate_hz = story.rates[0]
    trip, *_ = story.drive(rate_hz)
    others = [
        home_again(on_the_road(Drive(rate_hz, vehicle_id=name, noise=NOISE)), 14.0)
        for name in ("a", "z")
    ]
    known = story.known(rate_hz)
    vehicles = in_force(vehicle("a", vehicle_type="truck"), vehicle("z", status="maintenance"))
    together = found(
        *others, trip, known=replace(known, vehicles=known.vehicles.vstack(vehicles.vehicles))
    )
    assert_frame_equal(together, found(trip, known=known))


@pytest.mark.parametrize("story", OF_DAYS, ids=str)
def test_what_happens_over_days_is_what_is_found(story: Past) -> None:
    assert story.found() == story.finds
