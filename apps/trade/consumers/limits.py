"""What one socket may do, so that no client can take the process from the others."""

from collections import Counter
from typing import Final

MESSAGE_BYTES_MAX: Final = 16 * 1024
# Channels of one message, and candle channels of one socket.
SUBSCRIPTIONS_MAX: Final = 50
# Operations of one socket that wait for their answers.
IN_FLIGHT_MAX: Final = 64
# Account events that a socket has not taken yet.
EVENTS_WAITING_MAX: Final = 256
# Missed events that are sent one by one to who comes back; beyond it a new snapshot is the shorter way.
EVENTS_RESUMED_MAX: Final = 500
AUTH_SECONDS: Final = 10.0
# A session that has ended, here or elsewhere, is noticed within this time; while no process hears of it, plus the two seconds
# that sessions are believed.
RECHECK_SECONDS: Final = 1.0
# Messages beyond the rate that are refused one by one before the socket is closed.
REFUSALS_MAX: Final = 200

# Close codes of our own.
CLOSE_UNAUTHORISED: Final = 4401
CLOSE_TOO_SLOW: Final = 4408
CLOSE_TOO_MANY: Final = 4429
CLOSE_TOO_LARGE: Final = 1009
# The protocol's own for "try again later".
CLOSE_LATER: Final = 1013


class MessageRate:
    """A token bucket: `per_second` messages on average, twice as many at once."""

    def __init__(self, per_second: int, now_s: float) -> None:
        self._per_second = per_second
        self._tokens = 2.0 * per_second
        self._at_s = now_s
        # Messages refused since one has passed.
        self.refused = 0

    def may_pass(self, now_s: float) -> bool:
        """Return whether a message may pass now; counts none."""
        return self._tokens + (now_s - self._at_s) * self._per_second >= 1

    def take(self, now_s: float) -> bool:
        """Count one message; return whether it may pass."""
        filled = self._tokens + (now_s - self._at_s) * self._per_second
        self._tokens = min(filled, 2.0 * self._per_second)
        self._at_s = now_s
        if self._tokens < 1:
            self.refused += 1
            return False
        self._tokens -= 1
        self.refused = 0
        return True


# Open sockets of this process by user.
sockets_by_user: Counter[int] = Counter()
