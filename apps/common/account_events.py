"""Tells who follows an account about every output that names it, on which sockets live, and of what is decided for everybody."""

import logging
from collections.abc import Callable

from apps.common.outputs import Output
from engine.messages.events import AccountEvent

logger = logging.getLogger(__name__)

# Called on the gateway's loop; None: some outputs may have been missed, so a new snapshot is needed.
AccountCallback = Callable[[Output | None], None]
# Called on the gateway's loop.
SharedCallback = Callable[[Output], None]


class AccountEvents:
    """The followers of this process, by account."""

    def __init__(self) -> None:
        self._callbacks: dict[int, set[AccountCallback]] = {}
        # Of those who hear what commands without an account have done.
        self.shared: list[SharedCallback] = []
        # Last output number by shard.
        self._numbers: dict[int, int] = {}

    def subscribe(self, account: int, callback: AccountCallback) -> Callable[[], None]:
        """Follow an account; returns how to end it."""
        callbacks = self._callbacks.setdefault(account, set())
        callbacks.add(callback)

        def unsubscribe() -> None:
            callbacks.discard(callback)
            if not callbacks and self._callbacks.get(account) is callbacks:
                del self._callbacks[account]

        return unsubscribe

    def tell(self, output: Output) -> None:
        """Hand one output to the followers of its accounts."""
        expected = self._numbers.get(output.shard, output.n - 1) + 1
        self._numbers[output.shard] = output.n
        if output.n != expected:
            logger.error(
                "outputs are missing from the stream",
                extra={"shard": output.shard, "expected": expected, "found": output.n},
            )
            self._tell_gap()
        if not output.account and output.command_raw:
            for shared in self.shared:
                shared(output)
        if not self._callbacks:
            return
        # Only quotes, ticks and definitions carry events of other accounts than their own.
        if output.account:
            for callback in list(self._callbacks.get(output.account, ())):
                callback(output)
            return
        accounts = {e.account for e in output.events if isinstance(e, AccountEvent)}
        for account in accounts & self._callbacks.keys():
            for callback in list(self._callbacks[account]):
                callback(output)

    def _tell_gap(self) -> None:
        for callbacks in list(self._callbacks.values()):
            for callback in list(callbacks):
                callback(None)
