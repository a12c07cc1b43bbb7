"""Background parts that nobody waits for give way, each thread by itself, and the others do not."""

import os
import sys
import threading

import pytest

from cryptocfd.parts import NICENESS, Part

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere a thread has no priority of its own"
)


def niceness_of_part(*, gives_way: bool) -> int:
    found: list[int] = []
    stopped = threading.Event()

    def run() -> None:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        stopped.wait(20)

    part = Part("worker", run=run, stop=stopped.set, gives_way=gives_way)
    part.start()
    part.ask_to_stop()
    assert part.wait(20)
    assert part.failure is None
    return found[0]


def test_a_patient_part_gives_way_and_leaves_the_process_alone():
    own = os.getpriority(os.PRIO_PROCESS, 0)

    assert niceness_of_part(gives_way=True) == max(own, NICENESS)
    assert niceness_of_part(gives_way=False) == own
    assert os.getpriority(os.PRIO_PROCESS, 0) == own
