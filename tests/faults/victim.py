"""A worker process that is made to be killed: the platform's own code, without Dagster's daemon.

It imports everything and says ``ready``; it then obeys orders, lines of JSON on its standard input,
and says ``done`` after each; with the argument ``breed``, it obeys each in a child of its own.
Settings come from its environment, as for any worker.

An order has ``work`` (a name of `FLOWS`: pass after pass, for ever; or of `TASKS`: once, with
``given`` as its arguments), and may have ``point`` (die at this fault point), ``torn`` (die as
soon as a data file of this lake table is there that no commit names yet) and ``until_quiet`` (stop
when a pass finds nothing to do).
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fleet_assets.assets.platform import Platform
from fleet_assets.fault_points import VARIABLE
from fleet_assets.flow import hour_progress
from fleet_assets.kafka.anomalies import publish_changes
from fleet_assets.kafka.ranges import ranges_to_land
from fleet_assets.kafka.read import read_ranges
from fleet_assets.kafka.topic import topic_state
from fleet_assets.lake.expiry import expire_hour
from fleet_assets.lake.feature_windows import hours_to_window, refresh_feature_windows
from fleet_assets.lake.landed import landed_hours
from fleet_assets.lake.landing import AlreadyLandedError, land, next_offsets
from fleet_assets.lake.model_segments import hours_to_score, refresh_model_segments
from fleet_assets.lake.refresh import refresh_hour, refresh_together
from fleet_assets.lake.retire import old_hours
from fleet_assets.lake.upkeep import UpkeepPolicy, keep_up
from fleet_assets.lake.vehicle_hours import refresh_vehicle_hours
from fleet_assets.model_flow.book import model_book
from fleet_assets.model_flow.scoring import settle_scores
from fleet_assets.rejects.publish import publish_rejects
from fleet_assets.rule_flow import changed_by_rules, rule_work, settle, work_hour
from fleet_assets.telemetry.placement import place
from fleet_assets.warehouse.from_lake import load_hour
from fleet_assets.warehouse.rule_book import rule_book
from fleet_assets.warehouse.vehicles import known_vehicles, tanks_at
from partitions.hours import hour_start

PR_SET_PDEATHSIG = 1
RANGE_MESSAGES = 4_000
"""A landing takes no more, so that a kill finds many small ones under way."""


def landing(platform: Platform, most: int = RANGE_MESSAGES) -> int:
    """What the landing sensor and its run do; returns the number of messages landed."""
    state = topic_state(platform.broker, platform.settings.topic)
    raw = platform.lake.open("raw_telemetry")
    committed = next_offsets(raw, state.source, state.watermarks)
    ranges = ranges_to_land(state.watermarks, committed, most)
    return land_ranges(platform, ranges)


def land_ranges(platform: Platform, ranges: Mapping[int | str, Sequence[int]]) -> int:
    """Lands exactly these ranges; what somebody else has landed is left to him."""
    state = topic_state(platform.broker, platform.settings.topic)
    exact = {int(partition): (start, end) for partition, (start, end) in ranges.items()}
    landed = 0
    try:
        chunks = read_ranges(platform.broker, platform.settings.topic, state.source.topic_id, exact)
        for chunk in chunks:
            placed = place(chunk.messages, platform.time_policy)
            land(platform.lake, state.source, chunk.ranges, placed, chunk.lost)
            landed += chunk.messages.height
    except AlreadyLandedError:
        pass
    return landed


def refresh(platform: Platform, event_hour: str, *, rebuild: bool = False) -> None:
    """What a refresh run does to one hour, up to the warehouse."""
    known = frozenset(known_vehicles(platform.postgres_url)["vehicle_id"])
    late_after = platform.settings.late_after
    refresh_hour(platform.lake, event_hour, known, late_after, force_rebuild=rebuild)
    tanks = tanks_at(platform.postgres_url, hour_start(event_hour))
    refresh_vehicle_hours(platform.lake, event_hour, tanks)
    load_hour(platform.lake, platform.postgres_url, event_hour, None)


def flow(platform: Platform) -> int:
    """Lands once and refreshes every hour that the warehouse does not hold in full."""
    done = landing(platform)
    progress = hour_progress(platform.lake, platform.postgres_url)
    stale = [hour.event_hour for hour in progress if hour.requeued or not hour.loaded]
    known = frozenset(known_vehicles(platform.postgres_url)["vehicle_id"])
    refresh_together(platform.lake, stale, known, platform.settings.late_after)
    for hour in stale:
        refresh(platform, hour)
    return done + len(stale) + publishing(platform)


def publishing(platform: Platform) -> int:
    """What the asset of the dead-letter topic does; returns the number of rejects sent."""
    settings = platform.settings
    published = publish_rejects(
        platform.lake, platform.broker, platform.postgres_url, settings.topic, settings.dlq_topic
    )
    return sum(published.rejects.values())


def rebuilds(platform: Platform) -> int:
    """The flow, and a rebuild of each hour by hand."""
    done = flow(platform)
    for hour in landed_hours(platform.lake.open("raw_telemetry")):
        refresh(platform, hour.event_hour, rebuild=True)
    return done


def upkeep(platform: Platform) -> int:
    """The flow, and a round of upkeep that leaves nothing in peace; what the flow has done."""
    done = flow(platform)
    policy = UpkeepPolicy(timedelta(minutes=5), timedelta(hours=1))
    report = keep_up(
        platform.lake, policy, datetime.now(UTC), thorough=True, time_limit=timedelta(seconds=2)
    )
    if report.failed:
        raise SystemExit(f"upkeep failed: {report.failed}")
    return done


def expiry(platform: Platform) -> int:
    """The flow, and raw messages go as soon as they are taken in."""
    done = flow(platform)
    for hour in old_hours(platform.lake, "raw_telemetry", datetime.now(UTC)):
        expire_hour(platform.lake, hour)
    return done


def dagster_runs(platform: Platform, sensors: tuple[str, ...] = ("landing", "refresh")) -> int:
    """The sensors' runs, executed by Dagster in this process: checks, ledger and dbt included."""
    import dagster as dg  # most victims do without: it takes long to import
    from platform_run import PlatformRun

    with dg.DagsterInstance.ephemeral() as instance:
        run = PlatformRun(
            platform.settings.topic, platform.postgres_url, instance=instance, platform=platform
        )
        done = 0
        for job in sensors:
            results = run.follow(f"{job}_sensor", job)
            failed = [result.job_def.name for result in results if not result.success]
            if failed:
                raise SystemExit(f"runs failed: {failed}")
            done += len(results)
        return done


def dagster_landing(platform: Platform) -> int:
    """The landing sensor and its run, as a second daemon that knows nothing of the first."""
    return dagster_runs(platform, ("landing",))


def judging(platform: Platform) -> int:
    """The flow, and what follows of what it has changed: anomalies up to Kafka, features."""
    done = flow(platform)
    lake, url = platform.lake, platform.postgres_url
    book = rule_book(url)
    work = rule_work(lake, url, book)
    hours = [*work.hours, *work.waiting]
    worked = [work_hour(lake, hour, book) for hour in hours]
    settle(lake, url, book, None, changed_by_rules(worked))
    sent = publish_changes(platform.broker, url, platform.settings.anomalies_topic).changes
    windows = [refresh_feature_windows(lake, hour) for hour in hours_to_window(lake)]
    models = model_book(lake, url)
    scored = [refresh_model_segments(lake, hour, models) for hour in hours_to_score(lake, models)]
    found = settle_scores(lake, url, None).written.rows
    return done + len(hours) + sent + len(windows) + len(scored) + len(found)


FLOWS: dict[str, Callable[[Platform], int]] = {
    "flow": flow,
    "rebuilds": rebuilds,
    "upkeep": upkeep,
    "expiry": expiry,
    "judging": judging,
    "dagster": dagster_runs,
    "dagster_landing": dagster_landing,
}
TASKS: dict[str, Callable[..., object]] = {"land_ranges": land_ranges, "refresh": refresh}


def die_when_torn(table: Path) -> None:
    """Kills this process once a data file has appeared; the commit follows within milliseconds."""
    before = set(table.rglob("*.parquet"))
    while set(table.rglob("*.parquet")) <= before:
        time.sleep(0.0002)
    os.kill(os.getpid(), signal.SIGKILL)


def obey(order: dict[str, Any]) -> None:
    """Works as ordered."""
    if order.get("point"):
        os.environ[VARIABLE] = order["point"]
    platform = Platform()
    if order.get("torn"):
        folder = Path(platform.settings.lake_root, order["torn"])
        threading.Thread(target=die_when_torn, args=(folder,), daemon=True).start()
    if order["work"] in TASKS:
        TASKS[order["work"]](platform, **order["given"])
        return
    while True:
        done = FLOWS[order["work"]](platform)
        if not done and order.get("until_quiet"):
            return
        if not done:
            time.sleep(0.02)


def say(word: str) -> None:
    """One line to whoever gives the orders."""
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def breed() -> None:
    """Obeys each order in a child of its own: forking costs milliseconds, importing a second.

    Nothing but imports has been done before, as deltalake does not survive a fork after its use.
    Says the child's process id, and its wait status when it has ended.
    """
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # it goes with its parent
            status = 1
            try:
                obey(json.loads(line))
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        say(str(child))
        say(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))


if __name__ == "__main__":
    say("ready")
    if sys.argv[1:] == ["breed"]:
        breed()
    for line in sys.stdin:
        obey(json.loads(line))
        say("done")
