"""Background parts that nobody waits for give way, each thread by itself, and the others do not."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cryptocfd.parts import NICENESS, PROCESS_NICENESS, Part

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


_GIVE_WAY = """
import os
from pathlib import Path
from cryptocfd.parts import process_give_way
process_give_way()
group = Path("/proc/self/autogroup")
print(os.getpriority(os.PRIO_PROCESS, 0))
print(group.read_text().split()[-1] if group.exists() else "none")
"""


def niceness_of_session() -> str:
    group = Path("/proc/self/autogroup")
    return group.read_text().split()[-1] if group.exists() else "none"


@pytest.mark.parametrize("has_own_session", [True, False])
def test_a_process_gives_way_and_takes_its_session_along_only_if_it_is_its_own(has_own_session):
    before = niceness_of_session()

    done = subprocess.run(
        [sys.executable, "-c", _GIVE_WAY],
        check=True,
        capture_output=True,
        text=True,
        start_new_session=has_own_session,
    )

    niceness, of_session = done.stdout.split()
    assert int(niceness) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + PROCESS_NICENESS)
    # A Linux without such groups has nothing to give way by.
    is_given = has_own_session and before != "none"
    assert of_session == (str(PROCESS_NICENESS) if is_given else before)
