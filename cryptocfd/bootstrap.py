"""Fills a fresh installation, and keeps the engine told of every instrument: users, catalogue, definitions, accounts.

Each step can be repeated at any time and does nothing the second time: rows are looked up, commands carry request ids
that follow from their content.
"""

import asyncio
import logging
import threading

from django.conf import settings
from django.db import OperationalError, close_old_connections
from redis.exceptions import RedisError

from apps.auth.facade import users_seed
from apps.common.engine_gateway import EngineGateway
from apps.common.engine_layout import layout_read
from apps.common.errors import ServiceError
from apps.market.facade import catalogue_install, definition_commands
from apps.profile.facade import demo_account_seed, group_commands
from cryptocfd.history.tools import log_client
from engine.messages.commands import AnyCommand
from engine.messages.replies import Rejected
from engine.messages.streams import FIRST_LAYOUT

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 0.5
# Instruments that an operator has changed reach the engine within this time.
_WATCH_SECONDS = 5.0
_AT_ONCE = 32


def database_seed() -> int:
    """Add the catalogue's instruments, and the cast of a demonstration where the settings ask for it.

    Returns the number of instruments that were added.
    """
    if settings.SEED_DEMO:
        users_seed()
    return catalogue_install()


class Bootstrap:
    """Tells the engine what the database defines, and opens the accounts of the cast."""

    def __init__(self, gateway: EngineGateway) -> None:
        self._gateway = gateway
        self._stopping = threading.Event()
        # Request ids that the engine has answered; an answer is final.
        self._answered: set[str] = set()
        self._are_accounts_seeded = not settings.SEED_DEMO
        # Set when the engine knows the instruments: before that it would refuse, and record, every quote.
        self.defined = threading.Event()
        # Set when every group and every instrument that has a source class is defined, and the cast has its accounts.
        self.done = threading.Event()

    def run(self) -> None:
        """Work until stop(); what cannot be reached yet is tried again."""
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                has_instruments = self._define()
                if has_instruments:
                    self.defined.set()
                self._accounts_seed()
                # On a first start there are none until the feed has found out which source serves them.
                if has_instruments:
                    self.done.set()
                pause = _WATCH_SECONDS if has_instruments else _RETRY_SECONDS
            except (ServiceError, OperationalError, RedisError) as error:
                logger.debug("the bootstrap waits", extra={"error": repr(error)})
                pause = _RETRY_SECONDS
            finally:
                close_old_connections()

    def stop(self) -> None:
        """End run()."""
        self._stopping.set()

    def _define(self) -> bool:
        """Send what the engine has not answered yet; groups first, since accounts are opened with one.

        Returns whether there is any instrument to trade.
        """
        with log_client() as client:
            layout = layout_read(client, settings.STREAM_PREFIX)
        instruments = list(
            definition_commands(
                shards=settings.ENGINE_SHARDS, layout=layout.number if layout else FIRST_LAYOUT
            )
        )
        everything: list[AnyCommand] = [*group_commands(), *instruments]
        commands = [one for one in everything if one.request_id not in self._answered]
        for start in range(0, len(commands), _AT_ONCE):
            self._gateway.run(self._send_all(commands[start : start + _AT_ONCE]))
        return bool(instruments)

    def _accounts_seed(self) -> None:
        if not self._are_accounts_seeded:
            for user in users_seed():
                if not user.is_staff:
                    demo_account_seed(user.id)
            self._are_accounts_seeded = True

    async def _send_all(self, commands: list[AnyCommand]) -> None:
        outputs = await asyncio.gather(*(self._gateway.send(command) for command in commands))
        for command, output in zip(commands, outputs, strict=True):
            self._answered.add(command.request_id)
            if isinstance(output.reply, Rejected):
                logger.error(
                    "the engine refuses a definition",
                    extra={"request_id": command.request_id, "reject": output.reply.code.name},
                )
