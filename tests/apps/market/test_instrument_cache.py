"""The process cache of instruments, as an event loop meets it."""

import asyncio

import pytest
from asgiref.sync import sync_to_async

from apps.market import selectors, services

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True), pytest.mark.asyncio]


async def test_a_loop_that_began_before_the_seed_learns_of_it_without_a_reader_in_a_thread():
    cache = selectors._InstrumentCache()
    before = cache.by_symbol()
    await sync_to_async(services.catalogue_install)()

    deadline = asyncio.get_running_loop().time() + 20
    while not (found := cache.by_symbol()):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)

    assert before == {}
    assert "BTCUSDT" in found
