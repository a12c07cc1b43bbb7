"""The projector as a process of its own that kills itself at a named point: for tests only.

Run as ``python -m tests.integration.projector_process <prefix> <point>``; the environment names the servers.
"""

import os
import signal
import sys

import django


def main() -> None:
    prefix, point = sys.argv[1:]
    django.setup()
    from apps.trade.projector import Projector

    def probe(met: str) -> None:
        if met == point:
            os.kill(os.getpid(), signal.SIGKILL)

    Projector(prefix=prefix, shards=1, probe=probe).project_available()


if __name__ == "__main__":
    main()
