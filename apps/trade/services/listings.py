"""Lists what the engine holds now: open and pending orders, filtered, sorted and paged."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from apps.market import facade as market
from apps.profile import facade as profile
from apps.profile.facade import AccountInfo
from apps.trade.services.shapes import Shape, open_shape, order_type_word, pending_shape
from engine.messages.views import OrderView, PositionView
from engine.values import Side

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a list is meant."""

    limit: int
    offset: int
    # Name of the field to sort by; a minus before it turns the order round.
    sort: str
    symbol: str | None = None
    side: Side | None = None
    # Microseconds UTC; from the first on, before the second.
    start_us: int | None = None
    end_us: int | None = None

    @property
    def symbol_resolved(self) -> str | None:
        """Return the symbol that is meant; errors: SymbolUnknownError."""
        return None if self.symbol is None else market.symbol_resolve(self.symbol)

    def holds(self, at_us: int) -> bool:
        """Return whether an instant lies within the times that are meant."""
        return (self.start_us or 0) <= at_us and (self.end_us is None or at_us < self.end_us)


async def positions_open(*, account: AccountInfo, page: Page) -> Shape:
    """Return an account's open orders with live figures.

    Errors: EngineBusyError; SymbolUnknownError.
    """
    symbol = page.symbol_resolved
    view = await profile.account_view(account)
    meant = [
        p
        for p in view.positions
        if symbol in (None, p.symbol)
        and page.side in (None, Side(order_type_word(p.direction)))
        and page.holds(p.opened_at_us)
    ]
    rows = _paged(meant, page, _POSITION_KEYS)
    return {
        "message": [open_shape(view, p) for p in rows],
        "total": len(meant),
        "asOf": view.as_of,
    }


async def orders_pending(*, account: AccountInfo, page: Page) -> Shape:
    """Return an account's pending orders; errors as positions_open."""
    symbol = page.symbol_resolved
    view = await profile.account_view(account)
    meant = [
        o
        for o in view.orders
        if symbol in (None, o.symbol) and page.side in (None, o.side) and page.holds(o.placed_at_us)
    ]
    rows = _paged(meant, page, _ORDER_KEYS)
    return {
        "message": [pending_shape(view.account, o) for o in rows],
        "total": len(meant),
        "asOf": view.as_of,
    }


def _number_of(entity_id: str) -> int:
    return int(entity_id.rpartition("-")[2])


def _position_age(position: PositionView) -> tuple[int, int]:
    return position.opened_at_us, _number_of(position.position_id)


def _order_age(order: OrderView) -> tuple[int, int]:
    return order.placed_at_us, _number_of(order.order_id)


_POSITION_KEYS: Final[dict[str, Callable[[PositionView], Any]]] = {
    "createdAt": _position_age,
    "pnl": lambda p: (p.pnl_unrealised_micros, _position_age(p)),
    "margin": lambda p: (p.margin_micros, _position_age(p)),
    "symbol": lambda p: (p.symbol, _position_age(p)),
}
_ORDER_KEYS: Final[dict[str, Callable[[OrderView], Any]]] = {
    "createdAt": _order_age,
    "symbol": lambda o: (o.symbol, _order_age(o)),
}


def _paged(rows: Iterable[T], page: Page, keys: dict[str, Callable[[T], Any]]) -> Sequence[T]:
    name = page.sort.removeprefix("-")
    ordered = sorted(rows, key=keys[name], reverse=page.sort.startswith("-"))
    return ordered[page.offset : page.offset + page.limit]
