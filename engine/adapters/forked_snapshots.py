"""Snapshots written by a forked copy of the process: trading pauses for the fork, not for the state.

Only for a process that does nothing but run engines. The copy holds the state as it was, at no cost until one of the
two changes a page; it checks the invariants, encodes, seals, writes and reads back, tells the outcome through a pipe
and ends. Nothing of it touches the connections that it inherits. An invariant that fails there halts the engine as
soon as the pipe has told, and no snapshot of that state exists.
"""

import logging
import os
import select
import signal
import warnings
from collections.abc import Iterator
from typing import Final, NoReturn

import msgspec

from engine.adapters.snapshot_files import SnapshotFiles
from engine.runtime.ports import (
    RefusedSnapshot,
    Snapshot,
    SnapshotHeader,
    SnapshotStatus,
    StateCopy,
)
from engine.values import InvariantError

_logger = logging.getLogger(__name__)

# The copy leaves the processor to the trading.
_NICENESS: Final = 10
_PIPE_BYTES: Final = 65_536


class _Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the copy tells."""

    header: SnapshotHeader | None = None
    failure: str = ""
    contradiction: str = ""


class ForkedSnapshots:
    """The snapshots of one shard in one folder, each written by a process of its own."""

    def __init__(self, files: SnapshotFiles) -> None:
        self._files = files
        self._child = 0
        self._pipe = -1
        self._status = SnapshotStatus(None, "")

    def is_busy(self) -> bool:
        """Return whether the snapshot before is still being written."""
        self._collect(timeout_us=0)
        return self._child != 0

    def save(self, copy: StateCopy) -> None:
        """Begin to write a snapshot in a forked process; how it went shows in status()."""
        try:
            reading, writing = os.pipe()
        except OSError as error:
            self._failed(error)
            return
        try:
            with warnings.catch_warnings():
                # Newer Pythons warn of forks beside threads: the copy takes no lock that one of ours could hold.
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
        except OSError as error:
            os.close(reading)
            os.close(writing)
            self._failed(error)
            return
        if child == 0:
            self._be_the_copy(writing, copy)
        os.close(writing)
        self._child, self._pipe = child, reading

    def _failed(self, error: OSError) -> None:
        # A machine without room for one more process must not stop the trading: the log has everything.
        self._status = self._status._replace(failure=f"no process to write it in: {error}")
        _logger.error(
            "A snapshot could not be begun; the one before stays.", extra={"reason": str(error)}
        )

    def _be_the_copy(self, writing: int, copy: StateCopy) -> NoReturn:
        # The parent's handlers would wake the parent through a socket that both have.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        report = _Report(failure="the copy of the process failed")
        try:
            os.nice(_NICENESS)
            header, body = copy()
            self._files.write(header, body)
            status = self._files.status()
            report = _Report(header=status.newest, failure=status.failure)
        except InvariantError as error:
            report = _Report(contradiction=str(error))
        except Exception as error:  # noqa: BLE001 - the outermost of this process; the other one tells it.
            report = _Report(failure=f"{type(error).__name__}: {error}")
        finally:
            os.write(writing, msgspec.json.encode(report))
            os._exit(0)

    def _collect(self, *, timeout_us: int) -> None:
        """Take the report of a copy that has ended, waiting for it at most that long."""
        if not self._child:
            return
        poller = select.poll()
        poller.register(self._pipe, select.POLLIN)
        if not poller.poll(timeout_us // 1_000):
            return
        raw = os.read(self._pipe, _PIPE_BYTES)
        os.close(self._pipe)
        _, ended = os.waitpid(self._child, 0)
        self._child, self._pipe = 0, -1
        if raw:
            report = msgspec.json.decode(raw, type=_Report)
        else:
            code = os.waitstatus_to_exitcode(ended)
            report = _Report(failure=f"the process that wrote it ended with {code}")
        self._status = SnapshotStatus(
            report.header or self._status.newest, report.failure, report.contradiction
        )

    def flush(self, timeout_us: int) -> None:
        """Wait until a save in work has ended."""
        self._collect(timeout_us=timeout_us)

    def newest_first(self) -> Iterator[Snapshot | RefusedSnapshot]:
        """Yield every file, newest first."""
        return self._files.newest_first()

    def status(self) -> SnapshotStatus:
        """Return what the last saves came to."""
        self._collect(timeout_us=0)
        return self._status
