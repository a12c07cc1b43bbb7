"""The one kind of failure of a start, and how failures of the system become sentences."""

import errno
from pathlib import Path


class SetupError(Exception):
    """The program cannot start; the message is one sentence that says what to do."""


def sentence_for(error: OSError, path: Path) -> SetupError:
    """Return the error as a sentence that names the place and the way out."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return SetupError(
            f"The disk that holds {path} is full: free some space there, or give another DATA_DIR."
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return SetupError(
            f"{error.filename or path} is not writable for this user: change its owner, or give "
            "another DATA_DIR, for example `make run DATA_DIR=~/cryptocfd`."
        )
    return SetupError(
        f"{error.filename or path} cannot be used ({error.strerror}): give another DATA_DIR."
    )


def sentence_from_log(server: str, log: Path) -> SetupError:
    """Return why a server ended at its start, from the last telling line of its log."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-40:]
    except OSError:
        lines = []
    if any("No space left on device" in line for line in lines):
        return SetupError(
            f"{server} could not start because the disk that holds {log.parent} is full: free some "
            "space there, or give another DATA_DIR."
        )
    telling = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "rror"))]
    reason = (telling or lines or ["it wrote nothing"])[-1].strip()
    return SetupError(f"{server} did not start: {reason} (its log is {log}).")
