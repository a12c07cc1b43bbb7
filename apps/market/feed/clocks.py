"""Whether the feed's clock and the log's agree; while they do not, no time that the feed states can be believed.

A clock that was set back an hour would write the prices of now into the candles of an hour ago, and one that was set forward would
make every later price come too early. Which of the two is wrong cannot be known here: the operator hears of it.
"""

import logging
from collections.abc import Callable
from typing import Final

from apps.market.clock import Clock

logger = logging.getLogger(__name__)

# An entry of the log whose quotes are farther from it than this is wrong.
SKEW_US_MAX: Final = 2_000_000


class ClockWatch:
    """How far the log's clock is from the feed's, at every instant: a watch that nobody can set carries the last comparison on."""

    def __init__(self, clock: Clock, monotonic: Callable[[], float]) -> None:
        """Take the feed's clock, and the watch: seconds that never go back."""
        self._clock = clock
        self.monotonic = monotonic
        # The log's time less the watch's, microseconds; None before the first comparison.
        self._offset_us: int | None = None
        # Time of the newest entry. Ids never go back, so they stay ahead of a log's clock that was once set forward.
        self._entry_us = 0
        self._is_alarmed = False

    def compare(self, log_us: int, asked: float) -> None:
        """Take the time that the log has told when it was asked at this time of the watch."""
        # Told somewhere between question and answer; half of that is less than what is looked for.
        told = (asked + self.monotonic()) / 2
        self._offset_us = log_us - round(told * 1e6)
        self._alarm()

    def wrote(self, entry_ms: int) -> None:
        """Take the time of an entry that was just written."""
        self._entry_us = entry_ms * 1000
        self._alarm()

    def log_is_new(self) -> None:
        """Forget the entries: this may be another log."""
        self._entry_us = 0

    def skew_us(self) -> int:
        """Return by how much the next entry would be ahead of the feed's clock now; 0 before anything is known."""
        now_us = self._clock.now_us()
        told_us = 0
        if self._offset_us is not None:
            told_us = self._offset_us + round(self.monotonic() * 1e6)
        return (max(told_us, self._entry_us) or now_us) - now_us

    def agrees(self) -> bool:
        """Return whether both tell the same time, as far as they have been compared."""
        return abs(self.skew_us()) <= SKEW_US_MAX

    def _alarm(self) -> None:
        was_alarmed, self._is_alarmed = self._is_alarmed, not self.agrees()
        if self._is_alarmed and not was_alarmed:
            logger.error("the clocks of feed and log differ", extra={"skew_us": self.skew_us()})
