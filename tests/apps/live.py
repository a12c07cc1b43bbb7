"""A living platform for tests of services: real engine thread, real gateway, prices given by hand."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from rest_framework.test import APIClient

from apps.auth.models import User
from apps.common.clock import now_us
from apps.common.engine_gateway import EngineGateway, gateway_install
from apps.common.outputs import Output
from apps.market import facade as market
from apps.profile import selectors as profile_selectors
from apps.profile.facade import AccountInfo, demo_account_seed, group_commands
from apps.trade.projector import Projector, output_from_journal
from engine.messages.commands import DefineInstrument, Quote, UpdateQuotes
from engine.messages.definitions import InstrumentSpec
from engine.messages.replies import Accepted
from engine.values import Actor, SourceClass, TradingMode
from tests.integration.engine_log import LogHand, engine_config, running

SYMBOL = "BTCUSDT"


class Live:
    """The engine with one instrument, and what a test does with it."""

    def __init__(self, gateway: EngineGateway, hand: LogHand) -> None:
        self.gateway = gateway
        self.hand = hand
        self._engine = ExitStack()
        self._quotes = itertools.count(1)
        self._users = itertools.count(1)

    def engine_start(self, **options: Any) -> None:
        """Run the engine, with these options of build_runner."""
        self._engine.enter_context(running(self.hand.config, **options))

    def engine_stop(self) -> None:
        """Stop the engine; what is sent then waits in the log."""
        self._engine.close()

    def price(self, bid_ticks: int, ask_ticks: int) -> None:
        """Give the instrument a new, fresh quote (one decimal: 100000 is 10,000.0)."""
        quote = Quote(SYMBOL, bid_ticks, ask_ticks, now_us())
        self.hand.append(
            UpdateQuotes(
                source="test",
                source_class=SourceClass.SIMULATED,
                feed_epoch=1,
                sequence=next(self._quotes),
                quotes=(quote,),
            ),
            gateway=b"",
        )

    def quotes(self, quote: Quote, sequence: int) -> str:
        """Append a quote of any instrument from a source of its own; return the id of its entry."""
        return self.hand.append(
            UpdateQuotes(
                source="other",
                source_class=SourceClass.SIMULATED,
                feed_epoch=1,
                sequence=sequence,
                quotes=(quote,),
            ),
            gateway=b"",
        )

    def user(self) -> tuple[User, AccountInfo]:
        """Make a user with a demo account and its money."""
        user = User.objects.create(email=f"user{next(self._users)}@example.com")
        return user, demo_account_seed(user.pk)

    def client(self, user: User) -> APIClient:
        """Return an API client that is signed in as the user."""
        client = APIClient()
        client.force_authenticate(user)
        return client

    def project(self) -> int:
        """Bring the read models up to date."""
        return Projector().project_available()

    def send(self, command: Any) -> Output:
        """Send a command that must be accepted."""
        output = self.gateway.send_sync(command)
        assert isinstance(output.reply, Accepted), output.reply
        return output


@contextmanager
def live_platform(
    prefix: str, log_redis_url: str, redis_url: str, folder: Path, **options: Any
) -> Iterator[Live]:
    """Run an engine and a gateway (with these options), and define what is traded."""
    settings.LOG_REDIS_URL, settings.REDIS_URL = log_redis_url, redis_url
    config = engine_config(prefix, log_redis_url, redis_url, folder)
    gateway = EngineGateway(
        log_url=log_redis_url,
        redis_url=redis_url,
        prefix=prefix,
        journal=output_from_journal,
        **options,
    )
    market.catalogue_install()
    live = Live(gateway, LogHand(config))
    live.engine_start()
    try:
        gateway.start_in_thread()
        gateway_install(gateway)
        try:
            for command in (*group_commands(), _instrument()):
                live.send(command)
            yield live
        finally:
            gateway_install(None)
            gateway.stop_thread()
            profile_selectors.accounts_cache.clear()
    finally:
        live.engine_stop()


def _instrument() -> DefineInstrument:
    info = market.instrument_get(SYMBOL)
    fields = {
        name: getattr(info, name)
        for name in InstrumentSpec.__struct_fields__
        if hasattr(info, name)
    }
    return DefineInstrument(
        request_id="define",
        source="test",
        actor=Actor.SYSTEM,
        spec=InstrumentSpec(**fields, version=1),
        trading_mode=TradingMode.OPEN,
        source_class=SourceClass.SIMULATED,
    )
