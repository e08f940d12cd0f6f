"""Says at the end of a session what was killed, and how the end states compared."""

from __future__ import annotations

import pytest
from fire import KILLS, NOTES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if KILLS:
        terminalreporter.section("kill -9")
        for kind, number in sorted(KILLS.items()):
            terminalreporter.write_line(f"{number:5}  {kind}")
        terminalreporter.write_line(f"{KILLS.total():5}  kills in all")
    for note in NOTES:
        terminalreporter.write_line(note)
