"""Ends asyncio tasks for certain."""

import asyncio
from collections.abc import Collection
from typing import Any, Final

_PATIENCE_SECONDS: Final = 0.2


async def cancel_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel the tasks until every one of them has ended; what they end with is dropped.

    Once is not enough: a time-out that runs out, or an answer that comes, in the very moment of the cancellation makes
    `asyncio.wait_for` of Python 3.11 and the Redis client built on it forget that they were cancelled. Seen once in
    some twenty stops of the feed.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_PATIENCE_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
