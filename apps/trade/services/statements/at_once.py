"""What a web process writes as files itself: short ones, one at a time; the worker (requests.py) makes those of any length.

The process that writes a file also takes orders, and setting pages is Python's own work: as long as it lasts, every order waits for
the interpreter again and again. So what is written at once takes some 200 ms of a processor at most, and never two at a time.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

from apps.common.errors import ServiceError
from apps.trade import selectors
from apps.trade.services.statements.collect import Period, period_days

# Entries and days of a statement. A line of a PDF takes up to a millisecond of a processor, one of a spreadsheet a fifteenth of that, and
# one of the others, which is read and hardly written, a fortieth.
LINES_MAX: Final[Mapping[str, int]] = {"pdf": 200, "xlsx": 2_000, "csv": 10_000, "json": 10_000}
# What takes a multiple of what text takes.
PAGES: Final = ("pdf", "xlsx")
# Of a receipt; each is a table of its own, with a dozen lines.
STEPS_MAX: Final = 50
# Text of so many lines takes less than a turn is worth.
_LINES_WITHOUT_TURN: Final = 1_000
# How many may wait for their turn, each in its thread, and how long.
_WAITING_MAX: Final = 4
_WAIT_SECONDS: Final = 2.0


class _Turn:
    """One at a time, a few who wait for it, and everybody else is sent away."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self.places = threading.BoundedSemaphore(1 + _WAITING_MAX)

    @contextmanager
    def taken(self) -> Iterator[None]:
        if not self.places.acquire(blocking=False):
            raise _busy()
        try:
            if not self._turn.acquire(timeout=_WAIT_SECONDS):
                raise _busy()
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self.places.release()


# Pages have a turn of their own: figures over a whole account's life have no limit of lines, and may hold theirs for seconds.
_pages: Final = _Turn()
_text: Final = _Turn()


def statement_lines(*, account_id: int, period: Period, file_format: str) -> int:
    """Return how many lines a statement has, if it may be written at once.

    Errors: ServiceError STATEMENT_TOO_LONG.
    """
    entries, days = statement_size(account_id=account_id, period=period)
    lines_max = LINES_MAX[file_format]
    if entries + days > lines_max:
        raise ServiceError(
            "STATEMENT_TOO_LONG",
            f"at once a statement as {file_format} has at most {lines_max} lines, found {entries + days} "
            f"(entries: {entries}, days: {days}): "
            f"have it made by POST /accounts/{account_id}/statements, or ask for a shorter time",
            http_status=409,
            data={
                "fileFormat": file_format,
                "entries": entries,
                "days": days,
                "linesMax": lines_max,
            },
        )
    return entries + days


def statement_size(*, account_id: int, period: Period) -> tuple[int, int]:
    """Return how many entries and how many days a statement has."""
    entries = selectors.money_count(
        account_id=account_id, start_us=period.start_us, end_us=period.end_us
    )
    return entries, len(period_days(account_id=account_id, period=period))


def receipt_require(detail: Mapping[str, Any]) -> None:
    """Refuse a receipt that is too long to be written at once.

    Errors: ServiceError RECEIPT_TOO_LONG.
    """
    order_id, steps = detail["order"]["orderId"], len(detail["receipts"])
    if steps > STEPS_MAX:
        raise ServiceError(
            "RECEIPT_TOO_LONG",
            f"a receipt as PDF has at most {STEPS_MAX} steps, found {steps}: "
            f"GET /trade/orders/{order_id} tells all of them",
            http_status=409,
            data={"orderId": order_id, "steps": steps, "stepsMax": STEPS_MAX},
        )


def turn_of(*, file_format: str, lines: int = 0) -> AbstractContextManager[None]:
    """Let who writes something long do it when no other in this process does; the thread waits.

    Errors: ServiceError UNAVAILABLE, when too many wait already or the wait was too long.
    """
    if file_format in PAGES:
        return _pages.taken()
    return _text.taken() if lines > _LINES_WITHOUT_TURN else nullcontext()


def _busy() -> ServiceError:
    return ServiceError(
        "UNAVAILABLE",
        "too many statements and receipts are being written: try again in a second",
        http_status=503,
        retry_after_s=1,
    )
