"""A client whose question nobody waits for must not end in its own thread: that aborts."""

from __future__ import annotations

import subprocess
import sys

ABANDONED = """
import gc, threading
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient
from fleet_assets.errors import FleetError
from fleet_assets.kafka import answers
from fleet_assets.kafka.topic import Broker

gc.disable()
collected = threading.Event()
answers._REFUSED_S = 0.0
broker = Broker("127.0.0.1:1", {})
broker.problems(KafkaError(KafkaError._AUTHENTICATION, "wrong password"))

def ask():
    admin = broker.admin()
    asked = admin.describe_cluster(request_timeout=1.0)
    # in the client's own thread
    asked.add_done_callback(lambda _: (gc.collect(), collected.set()))
    kept = [admin]
    kept.append(kept)  # as a traceback does that is kept: only the collector can free it
    try:
        answers.answer(admin, broker, asked, "asking")
    except FleetError as error:
        assert "login" in str(error), error

ask()
assert collected.wait(30)
answers.let_go()
assert not answers._unanswered
gc.collect()
print("alive")
"""


def test_a_question_that_nobody_waits_for_does_not_end_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ABANDONED], text=True, capture_output=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "alive", done.stdout + done.stderr
    assert done.returncode == 0
