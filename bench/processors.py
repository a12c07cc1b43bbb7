"""Where the processors went: what each part of the platform used, and how long it stood ready and waited for one.

The second tells a slow program from a machine whose scheduler lets it stand: a part that waits longer than it runs, while the
processors are not busy, is held back by the machine.
"""

import os
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_SERVERS = {"valkey-server": "valkey", "postgres": "postgres"}


class Processors:
    """What this process's descendants have used and waited since the last look, by part."""

    def __init__(self, names: Mapping[int, str]) -> None:
        """Begin; ``names`` are the parts by process id, whose children count with them; servers are known by their program."""
        self._names = dict(names)
        self._used, self._waited = self._now()
        self._began_s = time.perf_counter()

    def _label_of(self, pid: int, command: str, parents: Mapping[int, int]) -> str | None:
        if command in _SERVERS:
            return _SERVERS[command]
        while pid > 1:
            if pid in self._names:
                return self._names[pid]
            pid = parents.get(pid, 0)
        return None

    def _now(self) -> tuple[Counter[str], Counter[str]]:
        commands: dict[int, str] = {}
        parents: dict[int, int] = {}
        used_s: dict[int, float] = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                # The name of the program stands in brackets and may hold anything; what follows is numbers.
                head, _, tail = (folder / "stat").read_text().rpartition(")")
            except OSError:
                continue  # It has ended meanwhile.
            pid, fields = int(folder.name), tail.split()
            commands[pid] = head.partition("(")[2]
            parents[pid] = int(fields[1])
            used_s[pid] = (int(fields[11]) + int(fields[12])) / _TICKS
        used: Counter[str] = Counter()
        waited: Counter[str] = Counter()
        for pid, command in commands.items():
            label = self._label_of(pid, command, parents)
            if label is not None and _is_ours(pid, parents):
                used[label] += used_s[pid]
                waited[label] += _waited_s(pid)
        return used, waited

    def told(self, orders: int) -> str:
        """Return what was used for one order since the last look, and the part of the time that was spent waiting."""
        used, waited = self._now()
        now_s = time.perf_counter()
        elapsed_s = now_s - self._began_s
        parts = [
            f"{name} {(used[name] - self._used[name]) * 1e6 / orders:.0f} us"
            f" (waited {max(0.0, waited[name] - self._waited[name]) * 100 / elapsed_s:.0f} %)"
            for name in used
        ]
        self._used, self._waited, self._began_s = used, waited, now_s
        return ", ".join(parts)


def _is_ours(pid: int, parents: Mapping[int, int]) -> bool:
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = parents.get(pid, 0)
    return False


def _waited_s(pid: int) -> float:
    """Return how long the threads of a process stood ready for a processor."""
    waited_ns = 0
    for statistics in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            waited_ns += int(statistics.read_text().split()[1])
        except OSError:
            continue  # The thread has ended meanwhile.
    return waited_ns / 1e9
