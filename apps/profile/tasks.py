"""The relay that carries cash commands from PostgreSQL to the engine, until each is answered."""

import logging
import threading
from typing import Final

from django.db import DatabaseError, connection
from redis.exceptions import RedisError

from apps.common.errors import EngineBusyError, ServiceError
from apps.profile import selectors
from apps.profile.services.accounts import account_open
from apps.profile.services.cash import cash_send_next

logger = logging.getLogger(__name__)

_IDLE_S: Final = 0.5
_FAILED_S: Final = 2.0


class CashRelay:
    """Sends what waits in the outbox; several relays are harmless, since the engine decides each cash_seq once."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def run(self) -> None:
        """Relay until stopped; blocks."""
        while not self._stopped.is_set():
            try:
                pause_s = 0.0 if self.relay_once() else _IDLE_S
            except (ServiceError, DatabaseError, RedisError) as error:
                logger.warning("cash cannot be relayed now", extra={"error": repr(error)})
                # The connection of this thread may be dead; the next pass opens another.
                connection.close()
                pause_s = _FAILED_S
            self._stopped.wait(pause_s)
        connection.close()

    def stop(self) -> None:
        """End run() soon; from any thread."""
        self._stopped.set()

    def relay_once(self) -> int:
        """Send the next command of every account that has one; return how many were answered.

        One account's trouble does not hold up the others.
        Errors: EngineBusyError; the first other one if nothing at all could be done.
        """
        answered = 0
        failure: ServiceError | None = None
        for waiting in selectors.accounts_to_open():
            try:
                account_open(account=waiting)
            except EngineBusyError:
                raise
            except ServiceError as error:
                failure = failure or error
            selectors.accounts_forget(user_id=waiting.user_id)
        for account_id in selectors.accounts_with_cash_to_send():
            account = selectors.account_row_by_id(account_id=account_id)
            if account is None:
                continue
            try:
                account_open(account=account)
                answered += cash_send_next(account_id=account_id)
            except EngineBusyError:
                # Nothing can be sent at all; the others would only wait for the same answer.
                raise
            except ServiceError as error:
                failure = failure or error
        if failure is not None and not answered:
            raise failure
        return answered
