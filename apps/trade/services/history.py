"""Reads what has happened from the read models, and makes sure that one's own last command is among it."""

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from channels.db import database_sync_to_async

from apps.common.clock import datetime_from_us
from apps.common.errors import EngineBusyError
from apps.common.money import number_from_micros
from apps.common.outputs import Output
from apps.market import facade as market
from apps.profile import facade as profile
from apps.profile.facade import AccountInfo
from apps.trade import selectors
from apps.trade.models import ClosedTrade, HistoryEvent, LedgerEntry, Order
from apps.trade.selectors import RowFilter
from apps.trade.services import numbers
from apps.trade.services.listings import Page
from apps.trade.services.projection.journal import output_of
from apps.trade.services.shapes import Shape, order_type_word
from apps.trade.services.snapshots import event_shape
from engine.messages.events import AccountEvent, CashPosted
from engine.values import CashKind, Direction, check

# How long an answer waits for the projector; usually it is there within a few milliseconds.
PROJECTED_WAIT_S: Final = 1.0
_POLL_S: Final = 0.01

Postings = dict[tuple[int, int, int, int], list[LedgerEntry]]

_account_seq = database_sync_to_async(selectors.account_seq, thread_sensitive=False)


async def closed_orders(
    *, account: AccountInfo, page: Page, close_reason: str | None = None
) -> Shape:
    """Return a page of an account's closings; part closings stand for themselves.

    `isCurrent` tells whether everything that the engine has decided before the request is among them, `missingFromSeq` from which
    event of the account on it may not be; null when it is.
    """
    reach = await history_reach(account)
    read = database_sync_to_async(selectors.closed_trades, thread_sensitive=False)
    rows, total = await read(
        rows=_row_filter(account, page),
        close_reason=close_reason,
        sort=page.sort,
        limit=page.limit,
        offset=page.offset,
    )
    return {
        "message": [closed_trade_shape(row) for row in rows],
        "total": total,
        **reach.shape(),
    }


async def orders_history(*, account: AccountInfo, page: Page, state: str | None = None) -> Shape:
    """Return a page of an account's orders, whatever became of them; `isCurrent` as in closed_orders."""
    reach = await history_reach(account)
    read = database_sync_to_async(selectors.orders_page, thread_sensitive=False)
    rows, total = await read(
        rows=_row_filter(account, page),
        state=state,
        sort=page.sort,
        limit=page.limit,
        offset=page.offset,
    )
    return {
        "message": [order_row_shape(row) for row in rows],
        "total": total,
        **reach.shape(),
    }


async def ledger_page(
    *,
    account: AccountInfo,
    limit: int,
    before_seq: int | None = None,
    kind: str | None = None,
    symbol: str | None = None,
    start_us: int | None = None,
    end_us: int | None = None,
) -> Shape:
    """Return what moved an account's money, newest first, each with its postings; `isCurrent` as in closed_orders."""
    reach = await history_reach(account)
    rows = RowFilter(
        account_id=account.id,
        symbol=None if symbol is None else market.symbol_resolve(symbol),
        start_us=start_us,
        end_us=end_us,
    )

    def read() -> tuple[list[HistoryEvent], Postings, dict[int, CashKind]]:
        events = selectors.money_page(rows=rows, kind=kind, before_seq=before_seq, limit=limit + 1)
        return events, selectors.postings_of(events=events), _cash_kinds(events)

    events, postings, cash_kinds = await database_sync_to_async(read, thread_sensitive=False)()
    shown = events[:limit]
    return {
        "accountId": account.id,
        "entries": [
            ledger_shape(e, postings[e.layout, e.shard, e.n, e.event_index])
            | {"cashKind": cash_kinds.get(e.seq)}
            for e in shown
        ],
        "nextCursor": str(shown[-1].seq) if len(events) > limit else None,
        **reach.shape(),
    }


def _cash_kinds(events: list[HistoryEvent]) -> dict[int, CashKind]:
    """Return why cash was posted, by the number of the event: only the journal knows it."""
    cash = [event for event in events if event.kind == CashPosted.__name__]
    journal = selectors.journal_entries_of(events=cash)
    posted = (event_of(row, output_of(journal[row.layout, row.shard, row.n])) for row in cash)
    return {event.seq: event.kind for event in posted if isinstance(event, CashPosted)}


async def events_after(*, account: AccountInfo, seq: int, limit: int) -> Shape:
    """Return an account's events after one that was seen, oldest first, in the words of the socket.

    `hasMore` says that there are more of them now; `isCurrent` as in closed_orders. `reset` says, as on the socket, that nothing goes on
    from there: the account has never had that event, so it was seen elsewhere. Who is told so reads the account anew and follows it
    from `lastSeq`, its newest event.
    """
    reach = await history_reach(account)
    if reach.seq_now is not None and seq > reach.seq_now:
        return {
            "accountId": account.id,
            "events": [],
            "lastSeq": reach.seq_now,
            "hasMore": False,
            **reach.shape(),
            "reset": True,
        }
    events = await events_read(account_id=account.id, seq=seq, limit=limit + 1)
    shown = events[:limit]
    return {
        "accountId": account.id,
        "events": [{"seq": number, "d": shape} for number, shape in shown],
        "lastSeq": shown[-1][0] if shown else seq,
        "hasMore": len(events) > limit,
        **reach.shape(),
        "reset": False,
    }


async def events_read(*, account_id: int, seq: int, limit: int) -> list[tuple[int, Shape]]:
    """Return events after one from the journal, oldest first: the account's number of each and what sockets say of it."""

    def read() -> list[tuple[int, Shape]]:
        rows = selectors.history_after(account_id=account_id, seq=seq, limit=limit)
        journal = selectors.journal_entries_of(events=rows)
        outputs = {key: output_of(entry) for key, entry in journal.items()}
        symbols = {row.order_id: row.symbol for row in rows}
        return [
            (row.seq, event_shape(event_of(row, output), symbols) | {"asOf": output.output_id})
            for row in rows
            for output in (outputs[row.layout, row.shard, row.n],)
        ]

    return await database_sync_to_async(read, thread_sensitive=False)()


def event_of(row: HistoryEvent, output: Output) -> AccountEvent:
    """Return the event that a row of the history stands for.

    Errors: InvariantError when the journal has another one there.
    """
    event = output.events[row.event_index]
    is_same = isinstance(event, AccountEvent) and (event.account, event.seq) == row.pk
    check(is_same, f"the journal does not have event {row} where the history says")
    assert isinstance(event, AccountEvent)  # noqa: S101 - tells the type checker what check() has made sure.
    return event


@dataclass(frozen=True, slots=True)
class HistoryReach:
    """How far the read models reach into what the engine has decided about an account."""

    # The account's newest event; None: the engine does not tell.
    seq_now: int | None
    # The first event that they may lack; None: they have them all.
    missing_from_seq: int | None

    @property
    def is_current(self) -> bool:
        """Return whether they have everything."""
        return self.missing_from_seq is None

    def shape(self) -> Shape:
        """Return what an answer that was read from them says of it."""
        return {"isCurrent": self.is_current, "missingFromSeq": self.missing_from_seq}


async def history_reach(account: AccountInfo) -> HistoryReach:
    """Wait until the read models have what the engine has decided about an account before now; return how far they reach."""
    try:
        view = await profile.account_view(account)
    except EngineBusyError:
        # History must be readable without the engine; it just cannot promise to be complete.
        return HistoryReach(None, await _account_seq(account_id=account.id) + 1)
    return HistoryReach(view.seq, await _missing_from_seq(account.id, view.seq))


async def seq_is_projected(account_id: int, seq: int) -> bool:
    """Wait until the read models have an event of an account; return whether they do."""
    return await _missing_from_seq(account_id, seq) is None


async def _missing_from_seq(account_id: int, seq: int) -> int | None:
    """Wait until the read models have an event of an account; return the first one that they still lack, None if none."""
    deadline = asyncio.get_running_loop().time() + PROJECTED_WAIT_S
    while (seq_projected := await _account_seq(account_id=account_id)) < seq:
        if asyncio.get_running_loop().time() >= deadline:
            return seq_projected + 1
        await asyncio.sleep(_POLL_S)
    return None


def _row_filter(account: AccountInfo, page: Page) -> RowFilter:
    return RowFilter(
        account_id=account.id,
        symbol=page.symbol_resolved,
        side=page.side,
        start_us=page.start_us,
        end_us=page.end_us,
    )


def closed_trade_shape(row: ClosedTrade) -> Shape:
    """Return a closing as lists show it."""
    instrument = market.instrument_get(row.symbol)
    return {
        "orderId": row.position_id,
        "accountId": row.account,
        "symbol": row.symbol,
        "type": order_type_word(Direction(row.direction)),
        "quantity": numbers.quantity_number(instrument, row.quantity_units),
        "entryPrice": numbers.price_number(instrument, row.entry_price_ticks),
        "closePrice": numbers.price_number(instrument, row.close_price_ticks),
        "pnl": number_from_micros(row.pnl_micros),
        "commission": number_from_micros(row.commission_micros),
        "closeReason": row.close_reason,
        "openedAt": datetime_from_us(row.opened_at_us),
        "closedAt": datetime_from_us(row.closed_at_us),
    }


def order_row_shape(row: Order) -> Shape:
    """Return an order as the history knows it."""
    instrument = market.instrument_get(row.symbol)
    return {
        "orderId": row.order_id,
        "accountId": row.account,
        "status": row.state,
        "endReason": row.end_reason or None,
        "symbol": row.symbol,
        "type": row.side,
        "orderType": row.order_type,
        "quantity": numbers.quantity_number(instrument, row.quantity_units),
        "price": numbers.price_number(instrument, row.price_ticks),
        "stopPrice": numbers.price_number(instrument, row.stop_price_ticks),
        "leverage": row.leverage,
        "marginMode": row.margin_mode,
        "timeInForce": row.time_in_force,
        "expiresAt": datetime_from_us(row.expires_at_us) if row.expires_at_us else None,
        "stopLoss": numbers.price_number(instrument, row.stop_loss_ticks),
        "takeProfit": numbers.price_number(instrument, row.take_profit_ticks),
        "trailingDistance": numbers.price_number(instrument, row.trailing_ticks),
        "createdAt": datetime_from_us(row.placed_at_us),
    }


def ledger_shape(event: HistoryEvent, postings: list[LedgerEntry]) -> Shape:
    """Return an event that moved money, with its postings."""
    return {
        "seq": event.seq,
        "kind": event.kind,
        "orderId": event.order_id or None,
        "symbol": event.symbol or None,
        "amount": number_from_micros(event.amount_micros),
        "balance": number_from_micros(event.balance_micros),
        "time": datetime_from_us(event.at_us),
        "journalEntry": f"{event.layout}/{event.shard}/{event.n}",
        "postings": [{"ledger": p.ledger, "amount": _amount(p.amount_micros)} for p in postings],
    }


def _amount(micros: int) -> Decimal:
    return number_from_micros(micros)
