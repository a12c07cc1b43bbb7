"""Fixtures of the market's tests."""

from collections.abc import Iterator

import pytest

from apps.market import selectors
from apps.market.broadcaster import broadcaster
from apps.market.prices import price_book
from apps.market.selectors import InstrumentInfo
from tests.apps.market.support import FakeClock, shipped_instruments


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def instruments() -> dict[str, InstrumentInfo]:
    return shipped_instruments()


@pytest.fixture(autouse=True)
def _process_memory() -> Iterator[None]:
    """Forget what a process keeps: instruments, the price book, the broadcaster."""
    yield
    selectors.instruments_forget()
    price_book.cache_clear()
    broadcaster.cache_clear()
