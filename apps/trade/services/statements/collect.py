"""Collects a statement: opening balance, every event that moved money, closing balance, and what each day brought.

It is proved on making: opening balance + entries = closing balance, entry by entry and over all, else nothing is made.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from apps.common.clock import datetime_from_us, now_us, us_from_datetime
from apps.common.errors import ServiceError
from apps.trade import selectors
from apps.trade.models import ClosedTrade, HistoryEvent
from apps.trade.selectors import DAY_US
from apps.trade.services.statements.valuation import DayValues
from engine.values import check

_BATCH: Final = 1_000
_DAYS_MAX: Final = 3_660
_YEAR_MIN: Final = 1970
_YEAR_MAX: Final = 2255


@dataclass(frozen=True, slots=True)
class Period:
    """A span of time: from the first instant on, before the second; microseconds UTC."""

    start_us: int
    end_us: int

    @property
    def text(self) -> str:
        """Return the period as people write it: its first and its last day."""
        first, last = datetime_from_us(self.start_us), datetime_from_us(self.end_us - 1)
        return (
            f"{first:%Y-%m-%d}"
            if first.date() == last.date()
            else f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
        )


def period_of_days(first: str, last: str) -> Period:
    """Return the period of whole days in UTC, both included.

    Errors: ServiceError INVALID for days that are none, in the wrong order, or too many.
    """
    start, end = _day(first), _day(last) + timedelta(days=1)
    if not timedelta() < end - start <= timedelta(days=_DAYS_MAX):
        raise ServiceError(
            "INVALID",
            f"a statement covers 1 to {_DAYS_MAX} days, from {first} to {last} does not",
            data={"from": first, "to": last, "daysMax": _DAYS_MAX},
        )
    return Period(us_from_datetime(start), us_from_datetime(end))


def period_of_month(month: str) -> Period:
    """Return the period of one month in UTC, such as 2026-11.

    Errors: ServiceError INVALID.
    """
    start = _day(f"{month}-01")
    following = (start + timedelta(days=31)).replace(day=1)
    return Period(us_from_datetime(start), us_from_datetime(following))


def _day(text: str) -> datetime:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        day = None
    # Those of every other time that may be asked for; the last day of the calendar has none after it.
    if day is None or not _YEAR_MIN <= day.year <= _YEAR_MAX:
        raise ServiceError(
            "INVALID",
            f"expected a day such as 2026-11-26, from {_YEAR_MIN} to {_YEAR_MAX}, found {text[:20]!r}",
            data={"found": text[:20]},
        )
    return day


@dataclass(frozen=True, slots=True)
class Day:
    """What one day brought; micro-USD."""

    date: str
    opening_micros: int
    closing_micros: int
    # Realised P&L before commission, commission paid, swap, and everything else (cash, insurance).
    pnl_micros: int
    commission_micros: int
    swap_micros: int
    other_micros: int
    # What the day brought: closing less opening balance, without cash.
    result_micros: int
    # The closing balance with what was open at the end of the day, at its close.
    equity_micros: int
    trades: int


@dataclass(slots=True)
class Statement:
    """A statement whose sums hold."""

    account_id: int
    period: Period
    opening_micros: int
    closing_micros: int = 0
    entries: list[HistoryEvent] = field(default_factory=list)
    days: list[Day] = field(default_factory=list)
    # What was closed in the period, oldest first.
    closings: list[ClosedTrade] = field(default_factory=list)
    # By kind of event; micro-USD.
    totals: dict[str, int] = field(default_factory=dict)


def statement_collect(
    *, account_id: int, period: Period, on_progress: Callable[[int], None] = lambda _done: None
) -> Statement:
    """Return an account's statement; `on_progress` is told how many entries have been read.

    Errors: InvariantError when the history does not add up.
    """
    # The projector goes on writing: one event is the last for everything that is read below.
    seq_max = selectors.account_seq(account_id=account_id)
    opening = selectors.balance_before(
        account_id=account_id, at_us=period.start_us, seq_max=seq_max
    )
    statement = Statement(account_id=account_id, period=period, opening_micros=opening)
    balance = statement.opening_micros
    for event in _money(account_id, period, seq_max):
        balance += event.amount_micros
        check(
            balance == event.balance_micros,
            f"the history of account {account_id} does not add up at event {event.seq}",
        )
        statement.entries.append(event)
        statement.totals[event.kind] = statement.totals.get(event.kind, 0) + event.amount_micros
        if len(statement.entries) % _BATCH == 0:
            on_progress(len(statement.entries))
    # Also of the last ones, since writing them as a file takes longer than reading them.
    on_progress(len(statement.entries))
    statement.closing_micros = selectors.balance_before(
        account_id=account_id, at_us=period.end_us, seq_max=seq_max
    )
    check(
        statement.opening_micros + sum(statement.totals.values()) == statement.closing_micros,
        f"the statement of account {account_id} does not end at its closing balance",
    )
    statement.closings = selectors.closings_between(
        account_id=account_id, start_us=period.start_us, end_us=period.end_us, seq_max=seq_max
    )
    statement.days = list(_days(statement, seq_max))
    return statement


def _money(account_id: int, period: Period, seq_max: int) -> Iterator[HistoryEvent]:
    after = 0
    while batch := selectors.money_between(
        account_id=account_id,
        start_us=period.start_us,
        end_us=period.end_us,
        after_seq=after,
        seq_max=seq_max,
        limit=_BATCH,
    ):
        yield from batch
        after = batch[-1].seq


def period_days(*, account_id: int, period: Period) -> range:
    """Return the days that a statement tells, as numbers since 1970: from the account's first one until today, quiet ones too."""
    first_us = selectors.first_event_us(account_id=account_id)
    if first_us is None:
        return range(0)
    first = max(period.start_us, first_us) // DAY_US
    last = min((period.end_us - 1) // DAY_US, now_us() // DAY_US)
    return range(first, last + 1)


def _days(statement: Statement, seq_max: int) -> Iterator[Day]:
    days = period_days(account_id=statement.account_id, period=statement.period)
    if not days:
        return
    values = DayValues(
        account_id=statement.account_id,
        first=_date(days[0]),
        last=_date(days[-1]),
        seq_max=seq_max,
        today=_date(now_us() // DAY_US),
    )
    closed: dict[int, list[ClosedTrade]] = {}
    for row in statement.closings:
        closed.setdefault(row.closed_at_us // DAY_US, []).append(row)
    entries_of: dict[int, list[HistoryEvent]] = {}
    for event in statement.entries:
        entries_of.setdefault(event.at_us // DAY_US, []).append(event)
    opening = statement.opening_micros
    for day in days:
        entries = entries_of.get(day, [])
        pnl = sum(row.pnl_micros for row in closed.get(day, ()))
        swap = sum(e.amount_micros for e in entries if e.kind == "SwapCharged")
        # An opening moves the balance by its commission alone.
        commission = sum(row.commission_micros for row in closed.get(day, ()))
        commission -= sum(e.amount_micros for e in entries if e.kind == "PositionOpened")
        closing = entries[-1].balance_micros if entries else opening
        yield Day(
            date=f"{_date(day):%Y-%m-%d}",
            opening_micros=opening,
            closing_micros=closing,
            pnl_micros=pnl,
            commission_micros=commission,
            swap_micros=swap,
            other_micros=closing - opening - pnl + commission - swap,
            result_micros=closing
            - opening
            - sum(e.amount_micros for e in entries if e.kind == "CashPosted"),
            equity_micros=closing + values.unrealised_micros(_date(day)),
            trades=len(closed.get(day, ())),
        )
        opening = closing


def _date(day: int) -> date:
    return datetime_from_us(day * DAY_US).date()
