"""How the benchmarks measure and print: medians of rounds, one line a figure, the limit beside it, profiles on request.

What is measured is the processor time of this thread: what the engine takes on a core of its own, whatever else runs on the
machine. A busy neighbour still costs it a part of its caches.
"""

import cProfile
import gc
import pstats
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import thread_time
from typing import TypeVar

ROUNDS = 7
_PROFILE_ROWS = 22
_PIECE = 10_000

Item = TypeVar("Item")


class Bench:
    """Prints figures as they come, each beside its limit."""

    def __init__(self, limits: Mapping[str, int], *, is_profiling: bool) -> None:
        """Begin; when profiling, the figures are those of a slowed engine and only the profiles count."""
        self._limits = limits
        self._is_profiling = is_profiling

    def show(self, name: str, value: float, unit: str) -> float:
        """Print one figure and return it."""
        limit = self._limits.get(name)
        against = "" if limit is None else f" ({value / limit:.2f} of {limit})"
        print(f"{name}: {value:.{2 if value < 100 else 0}f} {unit}{against}", flush=True)
        return value

    def note(self, text: str) -> None:
        """Print what a reader needs to judge the figures."""
        print(f"# {text}", flush=True)

    def us_each(self, items: Sequence[Item], action: Callable[[Item], object]) -> float:
        """Do an action with each item and return the microseconds that one takes: the median of rounds."""
        size = len(items) // ROUNDS
        taken = []
        with self.profiled():
            for number in range(ROUNDS):
                chunk = items[number * size : (number + 1) * size]
                began = thread_time()
                for item in chunk:
                    action(item)
                taken.append((thread_time() - began) * 1e6 / size)
        return statistics.median(taken)

    def ms_of(
        self,
        action: Callable[[], object],
        rounds: int = ROUNDS,
        after: Callable[[], object] | None = None,
    ) -> float:
        """Do an action a few times and return the milliseconds that one takes: the median; what comes after is not timed."""
        taken = []
        with self.profiled():
            for _ in range(rounds):
                began = thread_time()
                action()
                taken.append((thread_time() - began) * 1e3)
                if after is not None:
                    after()
        return statistics.median(taken)

    @contextmanager
    def profiled(self) -> Iterator[None]:
        """Profile a block, if profiling is on, and print the functions that take the most time of their own."""
        if not self._is_profiling:
            yield
            return
        profile = cProfile.Profile()
        profile.enable()
        yield
        profile.disable()
        pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(_PROFILE_ROWS)


def machine_us() -> float:
    """Return what a fixed piece of Python takes here, microseconds: it tells one machine, or one hour of it, from another."""

    def piece(table: dict[int, int]) -> None:
        total = 0
        for number in range(_PIECE):
            table[number & 1023] = total
            total = (total + table[number & 511]) & 0xFFFFFF

    taken = []
    for _ in range(ROUNDS):
        table = dict.fromkeys(range(1024), 1)
        began = thread_time()
        piece(table)
        taken.append((thread_time() - began) * 1e6)
    return min(taken)


@contextmanager
def settled() -> Iterator[None]:
    """Freeze what was built and rest the collector, as the dedicated engine does after its start."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
