"""Traders of one user who never give up: each order is asked again under its key until a web process has answered."""

import threading
import time

import httpx

from tests.integration.product import TRUST

TRADERS = 4
# Four traders of one account: it may have 200 positions, and a user may write 50 times a second.
_PAUSE_SECONDS = 0.1
_ORDER = {"symbol": "BTC", "type": "buy", "quantity": "0.001", "leverage": 10}


class WebLoad:
    """Orders over HTTP from some threads, until stop()."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._stopping = threading.Event()
        # Order ids by key, as they were acknowledged; how often a connection ended without an answer, or there was none.
        self.acknowledged: dict[str, str] = {}
        self.lost = 0
        self.failures: list[str] = []
        self._threads = [
            threading.Thread(target=self._trade, args=(number,)) for number in range(TRADERS)
        ]
        for thread in self._threads:
            thread.start()

    def _trade(self, trader: int) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            key = f"web-load-{trader}-{number}"
            order_id = self.order(key)
            if order_id is None:
                return
            self.acknowledged[key] = order_id
            self._stopping.wait(_PAUSE_SECONDS)

    def order(self, key: str, *, seconds: float = 60) -> str | None:
        """Return the id of the order under a key, whoever had to answer it; None after a refusal, which is a failure."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                answer = httpx.post(
                    f"{self._url}/api/v1/trade/create",
                    json=_ORDER,
                    headers=self._headers | {"Idempotency-Key": key},
                    timeout=10,
                    verify=TRUST,
                )
            except httpx.TransportError:
                self.lost += 1
                time.sleep(_PAUSE_SECONDS)
                continue
            if answer.status_code == 200:
                order_id: str = answer.json()["data"]["orderId"]
                return order_id
            # Unknown, busy, or too many at once: asked again. Anything else is no answer to this order.
            if answer.status_code not in {408, 429, 503}:
                break
            time.sleep(_PAUSE_SECONDS)
        self.failures.append(f"{key} was not carried out")
        return None

    def stop(self) -> None:
        """Let every trader end with an answer."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(90)
