"""What must hold over the whole state at every entry boundary (rule H3). Checked at snapshots and in tests."""

from collections.abc import Iterator

from engine.core.arming import order_trigger, position_triggers
from engine.core.bands import QUEUES
from engine.core.expiries import expiry_key
from engine.core.figures import figures
from engine.core.state import Account, State
from engine.core.triggers import ENTRY, trigger_key
from engine.values import ORDERS_MAX, POSITIONS_MAX, check

# What is checked between two moments at which others may go on: some milliseconds.
_ACCOUNTS_AT_ONCE = 200
_INSTRUMENTS_AT_ONCE = 10

# Keys by instrument index and queue.
_Queued = list[list[dict[int, None]]]


def verify(state: State) -> None:
    """Check ledger, accounts, exposures and the completeness of the queues.

    Errors: InvariantError with the first that fails.
    """
    for _ in verifying(state):
        pass


def verifying(state: State) -> Iterator[None]:
    """Do what verify() does part by part; entries may be applied between two parts.

    What must hold of many accounts at once is one part. Accounts that come later are the next time's.
    Errors: as verify().
    """
    yield from state.accounts.unpacking(_ACCOUNTS_AT_ONCE)
    check(state.ledger_total_micros() == 0, "the ledger does not sum to zero")
    _verify_books(state)
    yield
    _verify_counts(state)
    yield
    queued: _Queued = []
    for instrument in list(state.instruments):
        queued.append([dict.fromkeys(instrument.queues.dump(queue)) for queue in range(QUEUES)])
        if len(queued) % _INSTRUMENTS_AT_ONCE == 0:
            yield
    ends = dict.fromkeys(state.expiries)
    for number, account in enumerate(list(state.accounts.values()), 1):
        _verify_account(state, account)
        _verify_queues(state, account, queued)
        _verify_expiries(state, account, ends)
        if number % _ACCOUNTS_AT_ONCE == 0:
            yield


def _verify_counts(state: State) -> None:
    net_units = [0] * len(state.instruments)
    open_count = [0] * len(state.instruments)
    for account in state.accounts.values():
        for position in account.positions.values():
            signed = position.quantity_units if position.is_long else -position.quantity_units
            net_units[position.instrument] += signed
            open_count[position.instrument] += 1
        for order in account.orders.values():
            open_count[order.instrument] += 1
    for instrument in state.instruments:
        check(instrument.net_units == net_units[instrument.index], "net units differ")
        check(instrument.open_count == open_count[instrument.index], "open count differs")
    state.requests.verify()


def _verify_books(state: State) -> None:
    """Each book sums to zero by itself, and cash:pending is the sum of what is on its way."""
    totals = {"demo": 0, "live": 0}
    pending = {"demo": 0, "live": 0}
    for account in state.accounts.values():
        totals[account.kind.value] += account.balance_micros
        pending[account.kind.value] += account.cash_pending_micros
    for name, amount in state.house.items():
        totals[name.partition(":")[0]] += amount
    for book, total in totals.items():
        check(total == 0, f"the {book} book does not sum to zero")
        on_its_way = state.house.get(f"{book}:cash:pending", 0)
        check(on_its_way == pending[book], f"{book}:cash:pending differs from its accounts")


def _verify_account(state: State, account: Account) -> None:
    check(len(account.positions) <= POSITIONS_MAX, "too many positions")
    check(len(account.orders) <= ORDERS_MAX, "too many orders")
    check(account.cash_pending_micros >= 0, "pending cash below zero")
    for k, position in account.positions.items():
        check(k == position.k < account.next_k, "position id out of range")
        check(position.quantity_units > 0, "position without quantity")
        check(position.margin_micros >= 0, "margin below zero")
    for k, order in account.orders.items():
        check(k == order.k < account.next_k, "order id out of range")
        check(order.quantity_units > 0, "order without quantity")
    check(_are_counted(state, account), "holdings differ from positions")
    is_guarded = account.account in state.bands or account.account in state.watched
    if not is_guarded and account.account not in state.marked:
        _verify_unguarded(state, account)


def _are_counted(state: State, account: Account) -> bool:
    """Return whether the sums that are kept for an account, if any, are those of its positions."""
    kept = state.holdings.get(account.account)
    return kept is None or kept.is_same(state.summed_up(account))


def _verify_unguarded(state: State, account: Account) -> None:
    """Hold that an account without band and watch has no short, and no debt beside a long."""
    held = figures(state, account).held
    loss = sum(price * weight for _, weight, price in held if weight > 0)
    has_shorts = any(weight < 0 for _, weight, _ in held)
    check(not has_shorts, "a short without band or watch")
    check(account.balance_micros >= 0 or loss == 0, "a debt without band or watch")


def _verify_queues(state: State, account: Account, queued: _Queued) -> None:
    """Every trigger of every position and order stands in its queue."""
    for position in account.positions.values():
        for queue, price_ticks, kind in position_triggers(position):
            key = trigger_key(queue, price_ticks, position.account, position.k, kind)
            is_there = _is_queued(state, queued, position.instrument, queue, key)
            check(is_there, "a trigger is missing from its queue")
    for order in account.orders.values():
        queue, price_ticks = order_trigger(order)
        key = trigger_key(queue, price_ticks, order.account, order.k, ENTRY)
        is_there = _is_queued(state, queued, order.instrument, queue, key)
        check(is_there, "an order is missing from its queue")


def _verify_expiries(state: State, account: Account, ends: dict[int, None]) -> None:
    """Every order that ends stands in the queue of expiries, or was queued since it was listed."""
    for order in account.orders.values():
        if order.expires_at_us:
            key = expiry_key(order)
            is_there = key in ends or key in state.expiries
            check(is_there, "the end of an order is missing from its queue")


def _is_queued(state: State, queued: _Queued, index: int, queue: int, key: int) -> bool:
    """Return whether a key stood in its queue when the keys were listed, or was queued since, which takes a search."""
    if index < len(queued) and key in queued[index][queue]:
        return True
    return key in state.instruments[index].queues.dump(queue)
