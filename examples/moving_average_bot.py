"""A bot on two moving averages: long while the fast one is above the slow one, short below. For a demo account; no advice.

pip install clients/python
python examples/moving_average_bot.py --url http://localhost:8000 --key-id ... --secret ... --symbol BTCUSDT

It closes what is open in its symbol on the other side, whoever has opened that.
"""

import argparse
import os
import sys
import time
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients" / "python"))

from cryptocfd_client import ApiError, Client, HmacKey, OutcomeUnknownError, Token

FAST, SLOW = 5, 20


def average(closes: list[Decimal]) -> Decimal:
    """Return the mean of some prices."""
    return sum(closes, Decimal(0)) / len(closes)


def wanted_side(client: Client, symbol: str) -> str | None:
    """Return what the averages say: buy, sell, or None while there is too little history."""
    candles = client.candles(symbol, "1m", limit=SLOW)["data"]
    closes = [Decimal(str(candle[4])) for candle in candles]
    if len(closes) < SLOW:
        return None
    return "buy" if average(closes[-FAST:]) > average(closes) else "sell"


def step(client: Client, symbol: str, quantity: Decimal, leverage: int) -> str:
    """Bring the account to what the averages say; return what was done."""
    side = wanted_side(client, symbol)
    held = [o for o in client.open_orders()["message"] if o["symbol"] == symbol]
    if side is None or any(order["type"] == side for order in held):
        return "nothing to do"
    for order in held:
        closed = client.close_order(order["orderId"])["order"]
        print(f"closed {order['orderId']} with {closed['pnl']} USD")
    opened = client.create_order(symbol, side, quantity, leverage, slippage="0.5")
    return f"{side} {quantity} at {opened['price']}"


def main() -> None:
    """Trade until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://localhost:8000")
    parser.add_argument("--key-id", default=os.environ.get("CRYPTOCFD_KEY_ID", ""))
    parser.add_argument("--secret", default=os.environ.get("CRYPTOCFD_SECRET", ""))
    parser.add_argument("--token", default=os.environ.get("CRYPTOCFD_TOKEN", ""))
    parser.add_argument("--symbol", default="BTCUSDT")
    parser.add_argument("--quantity", type=Decimal, default=Decimal("0.001"))
    parser.add_argument("--leverage", type=int, default=5)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two looks")
    parser.add_argument("--steps", type=int, default=0, help="end after so many looks; 0: never")
    options = parser.parse_args()
    if not options.token and not (options.key_id and options.secret):
        parser.error("give --key-id and --secret of an API key that may trade, or a --token")
    proof = Token(options.token) if options.token else HmacKey(options.key_id, options.secret)
    looks = 0
    with Client(options.url, proof) as client:
        while not options.steps or looks < options.steps:
            looks += 1
            try:
                print(step(client, options.symbol, options.quantity, options.leverage), flush=True)
            except ApiError as refusal:
                print(f"refused: {refusal}", flush=True)
            except OutcomeUnknownError as unknown:
                # The next look sees what is open.
                print(unknown, flush=True)
            if looks != options.steps:
                time.sleep(options.every)


if __name__ == "__main__":
    main()
