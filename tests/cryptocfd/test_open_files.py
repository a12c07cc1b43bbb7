"""How many sockets a web process may hold."""

import resource
import subprocess
import sys

SCRIPT = """
import resource
from cryptocfd.web_server import open_files_allow
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
open_files_allow()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_a_web_process_takes_as_many_open_files_as_it_may_have() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = 65_536 if hard == resource.RLIM_INFINITY else min(65_536, hard)
    assert int(done.stdout) == most
