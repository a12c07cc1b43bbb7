"""Fixtures of this app's tests."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from apps.common.cancellation import cancel_all
from tests.apps.common.echo_engine import EchoEngine


@pytest_asyncio.fixture
async def engine(log_redis_url, stream_prefix) -> AsyncIterator[EchoEngine]:
    """A stand-in for the engine that answers."""
    engine = EchoEngine(log_redis_url, stream_prefix)
    task = asyncio.create_task(engine.run())
    yield engine
    await cancel_all([task])
