"""Background parts that nobody waits for give way, each thread by itself, and the others do not."""

import os
import subprocess
import sys
import threading
from types import SimpleNamespace

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

    service = SimpleNamespace(run=run, stop=stopped.set)
    part = Part("worker", make=lambda: service, gives_way=gives_way)
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


# What /proc/self/autogroup says before and after: nothing where the process is in no such group, or there is no such file.
_GIVE_WAY = """
import os
from pathlib import Path
from cryptocfd.parts import process_give_way

group = Path("/proc/self/autogroup")

def niceness_of_session():
    words = group.read_text().split() if group.exists() else []
    return words[-1] if words else "none"

is_slowable = niceness_of_session() != "none" and os.access(group, os.W_OK)
before = niceness_of_session()
process_give_way()
print(os.getpriority(os.PRIO_PROCESS, 0), is_slowable, before, niceness_of_session())
"""


@pytest.mark.parametrize("has_own_session", [True, False])
def test_a_process_gives_way_and_takes_its_session_along_only_if_it_is_its_own(has_own_session):
    done = subprocess.run(
        [sys.executable, "-c", _GIVE_WAY],
        check=True,
        capture_output=True,
        text=True,
        start_new_session=has_own_session,
    )

    niceness, is_slowable, before, after = done.stdout.split()
    assert int(niceness) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + PROCESS_NICENESS)
    # Of a session that is its own; and where Linux has no group for it, or /proc is not to be written, niceness has to do.
    is_slowed = has_own_session and is_slowable == "True"
    assert after == (str(PROCESS_NICENESS) if is_slowed else before)
