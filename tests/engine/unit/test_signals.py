"""Signals that come at the worst moment: two at once, and while the main thread holds what the stop needs."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
# The lock of an Event is the one that setting it takes; nobody else can be given between the two lines that hold it.
CAUGHT_WITHIN_THE_LOCK = """
import os, signal, sys, threading
from engine.adapters.signals import on_signals

before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
stopping, calls = threading.Event(), []

def act():
    calls.append(threading.current_thread() is threading.main_thread())
    stopping.set()

with on_signals(act):
    with stopping._cond:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(10_000))
    assert stopping.wait(20)
assert calls in ([False], [False, False]), calls
assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
assert "signals" not in {thread.name for thread in threading.enumerate()}
print("stopped")
"""


def test_a_stop_needs_nothing_that_the_interrupted_thread_holds() -> None:
    done = subprocess.run(  # noqa: PLW1510 - what it says on failure is told below.
        [sys.executable, "-c", CAUGHT_WITHIN_THE_LOCK],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.stdout == "stopped\n", done.stderr
