"""Runs the feed in a process of its own until SIGTERM or Ctrl-C; the candle writer runs beside it, as in `serve --only feed`."""

import asyncio
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand
from typing_extensions import override

from apps.market.candles.writer import CandleWriter
from apps.market.feed.service import FeedService


class Command(BaseCommand):
    help = "Runs the price feed and the candle writer of the settings until it is stopped."

    @override
    def handle(self, *_args: Any, **_options: Any) -> None:
        feed, candles = FeedService.from_settings(), CandleWriter()
        thread = threading.Thread(target=candles.run, name="candles")

        def stop(_number: int, _frame: object) -> None:
            # The candle writer follows below: what is told from a handler may take no lock.
            feed.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        thread.start()
        try:
            asyncio.run(feed.run())
        finally:
            candles.stop()
            thread.join()
