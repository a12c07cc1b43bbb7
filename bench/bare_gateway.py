"""The limit of the HTTP bench below the server: the same orders through the gateway alone, 64 in flight, without HTTP and JSON.

Runs beside the platform that is measured, in a process of its own; `--seconds` says for how long. Prints one line.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Sequence
from itertools import count

import django
import uvloop

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cryptocfd.settings")
django.setup()

from apps.common.engine_gateway import EngineGateway  # noqa: E402 - Django's models can be imported only after setup().
from apps.profile.models import TradingAccount  # noqa: E402 - as above.
from cryptocfd.engine_host import gateway_build  # noqa: E402 - as above.
from engine.messages.commands import ClosePosition, PlaceOrder  # noqa: E402 - as above.
from engine.messages.events import PositionOpened  # noqa: E402 - as above.
from engine.values import Side  # noqa: E402 - as above.

_QUANTITY_UNITS = 100
_numbers = count()


async def _trade(gateway: EngineGateway, user_id: int, account: int, until_s: float) -> int:
    """Open and close in turn until a moment; return how many orders were answered."""
    done = 0
    while time.perf_counter() < until_s:
        opening = PlaceOrder(
            request_id=f"bare-{next(_numbers)}",
            user_id=user_id,
            account=account,
            symbol="BTCUSDT",
            side=Side.BUY,
            quantity_units=_QUANTITY_UNITS,
            leverage=10,
        )
        output = await gateway.send(opening)
        opened = next(event for event in output.events if isinstance(event, PositionOpened))
        closing = ClosePosition(
            request_id=f"bare-{next(_numbers)}",
            user_id=user_id,
            account=account,
            position_id=opened.position_id,
        )
        await gateway.send(closing)
        done += 2
    return done


async def _measure(owners: Sequence[tuple[int, int]], seconds: float) -> float:
    gateway = gateway_build()
    await gateway.start()
    try:
        began = time.perf_counter()
        done = await asyncio.gather(
            *(_trade(gateway, user_id, account, began + seconds) for user_id, account in owners)
        )
        return sum(done) / (time.perf_counter() - began)
    finally:
        await gateway.stop()


def main() -> None:
    """Measure, and print orders per second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    rows = TradingAccount.objects.filter(is_open=True).order_by("id").values_list("user_id", "id")
    owners = list(rows[:64])
    print(f"bare_gateway_per_s: {uvloop.run(_measure(owners, options.seconds)):.0f} orders/s")


if __name__ == "__main__":
    main()
