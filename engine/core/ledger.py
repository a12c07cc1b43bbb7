"""Posting groups: who pays whom for what, always summing to zero (rules G1-G3).

Books ``demo:`` and ``live:`` stand before every ledger account and a group never mixes them.
"""

from dataclasses import dataclass

from engine.core.state import Account, Holdings, State, client_ledger
from engine.messages.events import Posting
from engine.values import AccountKind, check

_CLIENT = ":client:"


# Fields of a slotted class are read faster than those of a named tuple, and every fill reads them.
@dataclass(frozen=True, slots=True)
class _Book:
    """The names of one book, made once."""

    prefix: str
    pnl: str
    commission: str
    swap: str
    insurance: str
    pending: str
    # House accounts that fills and financing post to.
    house: dict[str, None]


def _book(kind: AccountKind) -> _Book:
    house = kind + ":house:"
    pnl, commission = house + "pnl", house + "commission"
    swap, insurance = house + "swap", house + "insurance"
    return _Book(
        prefix=kind + ":",
        pnl=pnl,
        commission=commission,
        swap=swap,
        insurance=insurance,
        pending=kind + ":cash:pending",
        house=dict.fromkeys((pnl, commission, swap, insurance)),
    )


_BOOKS = {kind: _book(kind) for kind in AccountKind}


def fill_postings(
    account: Account, pnl_micros: int, commission_micros: int, insured_micros: int
) -> tuple[Posting, ...]:
    """Return the group of a fill: realised P&L against the house, commission to it, what insurance pays.

    Units: micro-USD; commission and insured amounts are not negative.
    Source: docs/ENGINE.md, rule G2.
    """
    book = _BOOKS[account.kind]
    client = pnl_micros - commission_micros + insured_micros
    postings = []
    if client:
        postings.append(Posting(client_ledger(account.kind, account.account), client))
    if pnl_micros:
        postings.append(Posting(book.pnl, -pnl_micros))
    if commission_micros:
        postings.append(Posting(book.commission, commission_micros))
    if insured_micros:
        postings.append(Posting(book.insurance, -insured_micros))
    return tuple(postings)


def settle(
    state: State, account: Account, holdings: Holdings, pnl_micros: int, commission_micros: int
) -> tuple[Posting, ...]:
    """Post a fill that no insurance pays for, and return its group: fill_postings() and post() in one step.

    Units: micro-USD; the commission is not negative.
    Source: docs/ENGINE.md, rule G2.
    """
    book, house = _BOOKS[account.kind], state.house
    client = pnl_micros - commission_micros
    account.balance_micros += client
    own = Posting(holdings.ledger, client)
    if not pnl_micros:
        if not commission_micros:
            return ()
        house[book.commission] = house.get(book.commission, 0) + commission_micros
        return own, Posting(book.commission, commission_micros)
    # In the order of the group, for the state hash knows which of the house's accounts was posted to first.
    house[book.pnl] = house.get(book.pnl, 0) - pnl_micros
    result = Posting(book.pnl, -pnl_micros)
    if not commission_micros:
        return own, result
    house[book.commission] = house.get(book.commission, 0) + commission_micros
    charge = Posting(book.commission, commission_micros)
    return (own, result, charge) if client else (result, charge)


def swap_postings(account: Account, amount_micros: int, insured_micros: int) -> tuple[Posting, ...]:
    """Return the group of overnight financing; a positive amount is paid to the client.

    Source: docs/ENGINE.md, rule G2.
    """
    book = _BOOKS[account.kind]
    rows = (
        (client_ledger(account.kind, account.account), amount_micros + insured_micros),
        (book.swap, -amount_micros),
        (book.insurance, -insured_micros),
    )
    return tuple(Posting(name, amount) for name, amount in rows if amount)


def insurance_postings(account: Account, amount_micros: int) -> tuple[Posting, ...]:
    """Return the group that lifts a negative balance to zero.

    Source: docs/ENGINE.md, rule L6.
    """
    book = _BOOKS[account.kind]
    return (
        Posting(client_ledger(account.kind, account.account), amount_micros),
        Posting(book.insurance, -amount_micros),
    )


def cash_postings(
    account: Account, *, client_micros: int, pending_micros: int, method: str
) -> tuple[Posting, ...]:
    """Return the group of a cash movement; what neither the client nor the pending account takes is the method's.

    Source: docs/ENGINE.md, rule G3.
    """
    book = _BOOKS[account.kind]
    rows = (
        (client_ledger(account.kind, account.account), client_micros),
        (book.pending, pending_micros),
        (book.prefix + "cash:" + method, -client_micros - pending_micros),
    )
    return tuple(Posting(name, amount) for name, amount in rows if amount)


def post(
    state: State, account: Account, postings: tuple[Posting, ...], balance_micros: int
) -> None:
    """Apply a posting group and hold it to the balance that the event states.

    Errors: InvariantError for a group that does not sum to zero, names another client or book, or misses the balance.
    """
    book = _BOOKS[account.kind]
    own = client_ledger(account.kind, account.account)
    house = state.house
    total = 0
    balance = account.balance_micros
    for posting in postings:
        name = posting.ledger
        amount = posting.amount_micros
        total += amount
        if name == own:
            balance += amount
        else:
            if name not in book.house:
                is_ours = name.startswith(book.prefix) and _CLIENT not in name
                check(is_ours, f"posting to {name} in a group of account {account.account}")
            house[name] = house.get(name, 0) + amount
    if total or balance != balance_micros:
        check(total == 0, "posting group does not sum to zero")
        check(False, "balance differs from the event's")  # noqa: FBT003 - always wrong.
    account.balance_micros = balance
