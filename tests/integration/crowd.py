"""Sockets of the Python client that are cut off together, and come back each in a time of its own (F-31)."""

import asyncio
import os
import sys
import threading

from apps.common.cancellation import cancel_all
from tests.integration.product import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "clients" / "python"))

from cryptocfd_client import Stream

from cryptocfd.web_server import open_files_allow

# `make nightly` takes more.
SOCKETS = int(os.environ.get("CROWD", "20"))


class Crowd:
    """Streams of prices in a thread of their own, until stop()."""

    def __init__(self, url: str, token: str) -> None:
        # Who has heard a price since the last forget().
        self._heard: set[int] = set()
        open_files_allow()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._streams = [Stream(url, token=token, prices=["BTCUSDT"]) for _ in range(SOCKETS)]
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._thread.start()

    @property
    def is_there(self) -> bool:
        """Return whether every one of them hears prices."""
        return len(self._heard) == SOCKETS

    def forget(self) -> None:
        """Forget who has heard what."""
        self._heard.clear()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(30)
        self._loop.close()

    async def _run(self) -> None:
        tasks = [
            asyncio.create_task(self._listen(number, stream))
            for number, stream in enumerate(self._streams)
        ]
        await self._stopping.wait()
        await cancel_all(tasks)

    async def _listen(self, number: int, stream: Stream) -> None:
        async for _ in stream:
            self._heard.add(number)
