"""Apache Kafka's jars: fetched once from Maven Central, checked against the committed lock.

``kafka.lock.toml`` names every jar by coordinates and SHA-256, and no address; jgo knows where to
look. It is made by ``python -m fleet_assets.local.jars`` (only when the version changes).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fleet_assets.errors import FleetError

KAFKA_VERSION = "4.3.1"
LOG4J_VERSION = "2.25.4"
LOCK = Path(__file__).with_name("kafka.lock.toml")


def kafka_classpath(home: Path, report: Callable[[str], None]) -> str:
    """Class path of the broker; downloads what is missing.

    Raises:
        FleetError: jars are missing and cannot be fetched, or are not what the lock says.
    """
    from jgo.env import LockFile

    locked = LockFile.load(LOCK).dependencies
    cache = _writable_cache(home)
    places = [cache, *(place for place in [usual_cache()] if place != cache)]
    if any(_intact(jar, places) is None for jar in locked):
        with _alone_in(cache):  # another installation may be starting for the first time, too
            missing = [jar for jar in locked if _intact(jar, places) is None]
            if missing:
                report(f"Fetching Kafka, once: {len(missing)} jars, 45 MB in all, into {cache}")
                _download(missing, cache)
    paths = [_intact(jar, places) for jar in locked]
    wrong = [jar for jar, path in zip(locked, paths, strict=True) if path is None]
    if wrong:
        raise FleetError(
            f"{wrong[0].artifactId} {wrong[0].version} as downloaded has not the SHA-256 of "
            f"{LOCK.name}: clear {cache} and check where your network takes Maven Central from."
        )
    return os.pathsep.join(str(path) for path in paths)


@contextmanager
def _alone_in(cache: Path) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".fleet-kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _intact(jar: Any, places: list[Path]) -> Path | None:
    name = f"{jar.artifactId}-{jar.version}.{jar.packaging}"
    folder = Path(*jar.groupId.split("."), jar.artifactId, jar.version)
    for place in places:
        path = place / folder / name
        if os.access(path, os.R_OK) and _sha256(path) == jar.sha256:
            return path
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(missing: list[Any], cache: Path) -> None:
    import requests
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=cache, timeout=30)

    def fetch(jar: Any) -> None:
        component = context.project(jar.groupId, jar.artifactId).at_version(jar.version)
        artifact = component.artifact(packaging=jar.packaging)
        if artifact.cached_path is not None:  # the rest of an interrupted download
            artifact.cached_path.unlink(missing_ok=True)
        artifact.resolve()

    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(fetch, missing))
    except (requests.RequestException, RuntimeError, OSError) as error:
        reason = type(error).__name__ if isinstance(error, requests.RequestException) else error
        raise FleetError(
            f"{len(missing)} of Kafka's jars are not in {cache} and cannot be fetched ({reason}): "
            "connect to the network for the first start, copy that folder from another machine "
            "(M2_REPO names it), or set FLEET_KAFKA_BOOTSTRAP_SERVERS."
        ) from error


def usual_cache() -> Path:
    """Where Maven's tools keep jars."""
    return Path(os.environ.get("M2_REPO") or Path.home() / ".m2" / "repository")


def _writable_cache(home: Path) -> Path:
    cache = usual_cache()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        return home / "m2"
    return cache if os.access(cache, os.W_OK) else home / "m2"


def write_lock(path: Path = LOCK) -> None:
    """Resolve the versions above and write the lock anew.

    Kafka and the bridge from its logging to Log4j are resolved apart and joined, Kafka's versions
    first: resolved together they silently yield old Kafka clients.
    """
    from jgo.env import LockFile
    from jgo.maven import MavenContext

    context = MavenContext()
    jars: dict[tuple[str, str], Any] = {}
    for coordinates in (
        f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J_VERSION}",
        f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    ):
        inputs, rest = context.resolver.resolve([context.create_dependency(coordinates)])
        jars.update({(jar.groupId, jar.artifactId): jar for jar in [*inputs, *rest]})
    ordered = [jars[key] for key in sorted(jars)]
    LockFile.from_resolved_dependencies(ordered, environment_name="kafka").save(path)


if __name__ == "__main__":
    write_lock()
    sys.stdout.write(f"{LOCK}\n")
