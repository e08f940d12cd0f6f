"""Kafka's jars are fetched once, however many installations start for the first time at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from fleet_assets.local import jars


def test_two_first_starts_at_once_fetch_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("M2_REPO", str(tmp_path / "repository"))
    both, fetched = Barrier(2), []

    def place(jar: Any, places: list[Path]) -> Path | None:
        path = places[0] / f"{jar.artifactId}.jar"
        return path if path.exists() else None

    def download(missing: list[Any], cache: Path) -> None:
        for jar in missing:
            path = cache / f"{jar.artifactId}.jar"
            assert not path.exists(), "jgo refuses what somebody else has fetched meanwhile"
            path.touch()
            fetched.append(path)

    def start(number: int) -> str:
        both.wait(timeout=30)
        return jars.kafka_classpath(tmp_path / str(number), lambda _: None)

    monkeypatch.setattr(jars, "_intact", place)
    monkeypatch.setattr(jars, "_download", download)
    for _ in range(20):
        with ThreadPoolExecutor(2) as pool:
            one, other = pool.map(start, range(2))
        assert one == other
        assert len(fetched) == len(set(fetched)) == len(one.split(":"))
        while fetched:
            fetched.pop().unlink()
