"""Lets tests do something as an ordinary user; run by one, they do it as themselves."""

import os
import pwd
import subprocess
import sys
from functools import cache
from pathlib import Path

_IS_ROOT = os.geteuid() == 0
ACCOUNT = pwd.getpwnam("nobody") if _IS_ROOT else pwd.getpwuid(os.geteuid())
_REPOSITORY = Path(__file__).resolve().parents[2]
# The same interpreter must come up, with everything that it can import.
_PROBE = f"import sys, redis, psycopg, cryptocfd.env; sys.exit(sys.version != {sys.version!r})"


@cache
def becoming_ordinary() -> tuple[str, ...]:
    """The command prefix under which an ordinary user can run this checkout with this interpreter.

    Either may lie in a folder that only root can enter; a capability then opens folders, and nothing else changes.
    """
    if not _IS_ROOT:
        return ()
    identity = (
        "setpriv",
        f"--reuid={ACCOUNT.pw_uid}",
        f"--regid={ACCOUNT.pw_gid}",
        "--clear-groups",
    )
    for capability in ("", "dac_read_search", "dac_override"):
        wanted = (f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}")
        prefix = (*identity, *(wanted if capability else ()))
        tried = subprocess.run(
            [*prefix, sys.executable, "-c", _PROBE],
            cwd="/",
            env={"PYTHONPATH": str(_REPOSITORY)},
            capture_output=True,
            check=False,
        )
        if tried.returncode == 0:
            return prefix
    message = "no way was found to run this checkout as an ordinary user"
    raise AssertionError(message)
