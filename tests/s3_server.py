"""An S3-compatible server of this machine, and the environment that leads to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock
from urllib.error import URLError
from urllib.request import Request, urlopen

from fleet_assets.local.ports import free_port

BUCKET = "fleet-archive"
TRIES = 600


@contextmanager
def s3_server() -> Iterator[str]:
    """Runs moto's server with an empty bucket; gives an address in it.

    Within the block the environment names the server, as it would name that of an object store of
    one's own. A process of its own: delta-rs holds Python's lock while it waits for an answer.
    """
    endpoint = f"http://127.0.0.1:{free_port()}"
    named = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    command = [sys.executable, "-m", "moto.server", "-p", endpoint.rpartition(":")[2]]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _make_bucket(endpoint, server)
            with mock.patch.dict("os.environ", named):
                yield f"s3://{BUCKET}/archive"
        finally:
            server.terminate()


def _make_bucket(endpoint: str, server: subprocess.Popen[bytes]) -> None:
    """Tries until the server answers."""
    for _ in range(TRIES):
        assert server.poll() is None, "moto's server has ended"
        try:
            urlopen(Request(f"{endpoint}/{BUCKET}", method="PUT"), timeout=10).close()
        except URLError:
            try:
                server.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        else:
            return
    raise AssertionError("moto's server does not answer")
