"""The clocks of the machine. The only module of the engine that reads them."""

import time
from threading import Event


class SystemClock:
    """Wall clock, monotonic clock and waiting, as the operating system has them."""

    def now_us(self) -> int:
        """Return the wall clock, microseconds UTC."""
        return time.time_ns() // 1_000

    def monotonic_us(self) -> int:
        """Return a clock that never goes back, microseconds."""
        return time.monotonic_ns() // 1_000

    def wait(self, event: Event, timeout_us: int) -> bool:
        """Wait until the event is set or the time is over; return whether it is set."""
        return event.wait(timeout_us / 1_000_000)
