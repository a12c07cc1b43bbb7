"""The limit of the HTTP bench below the server: the same orders through the gateway alone, 64 in flight, without HTTP and JSON.

Then 300 of them a second, at a fixed rate. Runs beside the platform that is measured, in a process of its own; `--seconds` says for
how long.
"""

import argparse
import os
import statistics
from collections.abc import Sequence
from itertools import count

import django
import uvloop

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cryptocfd.settings")
django.setup()

from apps.common.engine_gateway import EngineGateway  # noqa: E402 - Django's models can be imported only after setup().
from apps.profile.models import TradingAccount  # noqa: E402 - as above.
from bench.http_load import closed_loop, open_loop  # noqa: E402 - as above.
from cryptocfd.engine_host import gateway_build  # noqa: E402 - as above.
from engine.messages.commands import ClosePosition, PlaceOrder  # noqa: E402 - as above.
from engine.messages.events import PositionOpened  # noqa: E402 - as above.
from engine.values import Side  # noqa: E402 - as above.

_QUANTITY_UNITS = 100
# About as many orders as are done in the time.
_SATURATED_PER_S = 3_000
_numbers = count()


class _Trader:
    """One account that opens and closes in turn."""

    def __init__(self, gateway: EngineGateway, user_id: int, account: int) -> None:
        self._gateway = gateway
        self._user_id = user_id
        self._account = account
        self._position_id = ""

    async def order(self) -> None:
        """Send one order and wait for its answer."""
        request_id = f"bare-{next(_numbers)}"
        if self._position_id:
            closing = ClosePosition(
                request_id=request_id,
                user_id=self._user_id,
                account=self._account,
                position_id=self._position_id,
            )
            await self._gateway.send(closing)
            self._position_id = ""
            return
        opening = PlaceOrder(
            request_id=request_id,
            user_id=self._user_id,
            account=self._account,
            symbol="BTCUSDT",
            side=Side.BUY,
            quantity_units=_QUANTITY_UNITS,
            leverage=10,
        )
        output = await self._gateway.send(opening)
        opened = next(event for event in output.events if isinstance(event, PositionOpened))
        self._position_id = opened.position_id


async def _measure(owners: Sequence[tuple[int, int]], seconds: float) -> None:
    gateway = gateway_build()
    await gateway.start()
    try:
        orders = [_Trader(gateway, user_id, account).order for user_id, account in owners]
        took_ms = await open_loop(orders, 300, seconds)
        print(f"bare_gateway_300_p50_ms: {statistics.median(took_ms):.2f} ms")
        print(f"bare_gateway_300_p99_ms: {statistics.quantiles(took_ms, n=100)[98]:.2f} ms")
        _, rate = await closed_loop(orders, int(_SATURATED_PER_S * seconds))
        print(f"bare_gateway_per_s: {rate:.0f} orders/s")
    finally:
        await gateway.stop()


def main() -> None:
    """Measure, and print latencies and orders per second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    rows = TradingAccount.objects.filter(is_open=True).order_by("id").values_list("user_id", "id")
    owners = list(rows[:64])
    uvloop.run(_measure(owners, options.seconds))


if __name__ == "__main__":
    main()
