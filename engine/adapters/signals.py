"""What a signal asks for is done by a thread of its own.

A handler runs between any two steps of the main thread, within another handler too. One that takes a lock, as setting a
threading.Event or starting a thread does, waits for ever where its own thread holds that lock just then: two signals within a
microsecond, as an engine gets them from a terminal and from its supervisor, were enough.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue


@contextmanager
def on_signals(act: Callable[[], None]) -> Iterator[None]:
    """Call act at each SIGTERM and SIGINT within, in a thread of its own; for the main thread only."""
    # The one queue that may be put into from a handler that interrupted its own put().
    told: SimpleQueue[int] = SimpleQueue()

    def watch() -> None:
        while told.get():
            act()

    watching = threading.Thread(target=watch, name="signals", daemon=True)
    watching.start()
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {n: signal.signal(n, lambda number, _frame: told.put(number)) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        told.put(0)
        watching.join()
