"""The leases of all engines and of the feed, held by a command during which none of them may start."""

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from cryptocfd.history.errors import HistoryError
from engine.adapters.redis_lease import RELEASE
from engine.messages.streams import feed_lease_key, lease_key

logger = logging.getLogger(__name__)

# Short enough for an operator to wait after a kill, long enough for a machine that stands still for a while.
_LEASE_MS: Final = 120_000
_RENEWED_EVERY_S: Final = 20.0

# Unlike an engine's lease one that lapsed is not taken again: an engine may have begun and ended meanwhile.
_RENEW: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

StillHeld = Callable[[], None]


@contextlib.contextmanager
def everything_held(client: Redis, prefix: str, shards: int) -> Iterator[StillHeld]:
    """Hold the leases for as long as the work takes.

    Yields what makes sure that each is held still, for a whole term from now; it raises HistoryError when one was lost.
    Errors: HistoryError when somebody is at work.
    """
    keys = [*(lease_key(prefix, shard) for shard in range(shards)), feed_lease_key(prefix)]
    owner = f"reshard:{secrets.token_hex(8)}"
    try:
        for key in keys:
            if not client.set(key, owner, nx=True, px=_LEASE_MS):
                raise HistoryError(
                    f"Somebody is at work: {key} is held by {_holder(client, key)}. Stop web, engines, feed, "
                    "projector and worker; the servers go on."
                )
        with _renewed(client, keys, owner):
            yield lambda: _renew(client, keys, owner)
    finally:
        # Where the server is away they lapse by themselves, and what has been done, or has failed, is to be told.
        with contextlib.suppress(RedisError):
            for key in keys:
                client.eval(RELEASE, 1, key, owner)


@contextlib.contextmanager
def _renewed(client: Redis, keys: Sequence[str], owner: str) -> Iterator[None]:
    """Renew the leases beside the work, since a single step may take longer than a term."""
    ended = threading.Event()

    def keep() -> None:
        while not ended.wait(_RENEWED_EVERY_S):
            try:
                _renew(client, keys, owner)
            except (HistoryError, RedisError) as error:
                # The work learns of a lost lease before its next step.
                logger.warning("leases could not be renewed", extra={"error": str(error)})

    thread = threading.Thread(target=keep, name="leases", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _renew(client: Redis, keys: Sequence[str], owner: str) -> None:
    for key in keys:
        if not client.eval(_RENEW, 1, key, owner, _LEASE_MS):
            raise HistoryError(
                f"A lease was lost while this command stood still: {key} is held by {_holder(client, key)} now. Nothing "
                "has changed: stop web, engines, feed, projector and worker, and start again."
            )


def _holder(client: Redis, key: str) -> str:
    holder = client.get(key)
    return holder.decode() if isinstance(holder, bytes) else "nobody"
