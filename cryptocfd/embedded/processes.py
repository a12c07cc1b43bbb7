"""Child processes that must outlive their parent's signals: start, find again, end, wait.

POSIX only, and nothing here knows which server it handles.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_POLL_SECONDS = 0.01


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Return whether the condition came true within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def is_alive(pid: int) -> bool:
    """Return whether a process with this id runs (a finished one that nobody has waited for does not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # The third field of /proc/<pid>/stat follows the name in parentheses; Z is a zombie.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return not Path("/proc/self/stat").exists()


def runs_program(pid: int, name: str) -> bool:
    """Return whether that process is this program; ids are reused, above all after a container restarts."""
    if not is_alive(pid):
        return False
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        # No /proc on this system (macOS), but ps is on everybody's path there.
        listed = subprocess.run(
            ["/bin/ps", "-o", "args=", "-p", str(pid)], capture_output=True, check=False
        )
        command = listed.stdout
    return name.encode() in command


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    cwd: Path,
    pass_fds: Sequence[int] = (),
    user: tuple[int, int] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that Ctrl-C at the terminal does not reach it.

    The caller stops it in order, after everything that uses it.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            pass_fds=pass_fds,
            start_new_session=True,
            umask=0o077,
            user=None if user is None else user[0],
            group=None if user is None else user[1],
            extra_groups=None if user is None else [],
        )


def end(pid: int, *, child: subprocess.Popen[bytes] | None, signals: Sequence[int]) -> None:
    """End a process by the first signal that works within three seconds each, and reap it if it is our child."""
    for number in signals:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        if wait_until(lambda: _has_ended(pid, child), seconds=3):
            return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: _has_ended(pid, child), seconds=3)


def _has_ended(pid: int, child: subprocess.Popen[bytes] | None) -> bool:
    return child.poll() is not None if child is not None else not is_alive(pid)


def lock_try(path: Path, *, seconds: float = 0) -> int | None:
    """Return a descriptor that holds the lock on this file, or None if another process holds it for all that time.

    The system drops the lock with the last process that has the descriptor, however that process ends; a thread of a process
    that counts as ended may have it for a moment longer.
    """
    deadline = time.monotonic() + seconds
    while (lock := _lock_now(path)) is None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return lock


def _lock_now(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
