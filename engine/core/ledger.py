"""Posting groups: who pays whom for what, always summing to zero (rules G1-G3).

Books ``demo:`` and ``live:`` stand before every ledger account and a group never mixes them.
"""

from engine.core.state import Account, State
from engine.messages.events import Posting
from engine.values import AccountKind, InvariantError, check

_CLIENT = ":client:"


def client_ledger(kind: AccountKind, account: int) -> str:
    """Return the ledger account of a client's balance."""
    return kind + _CLIENT + str(account)


def fill_postings(
    account: Account, *, pnl_micros: int = 0, commission_micros: int = 0, insured_micros: int = 0
) -> tuple[Posting, ...]:
    """Return the group of a fill: realised P&L against the house, commission to it, what insurance pays.

    Units: micro-USD; commission and insured amounts are not negative.
    Source: docs/ENGINE.md, rule G2.
    """
    book = account.kind
    client = pnl_micros - commission_micros + insured_micros
    postings = []
    if client:
        postings.append(Posting(client_ledger(book, account.account), client))
    if pnl_micros:
        postings.append(Posting(book + ":house:pnl", -pnl_micros))
    if commission_micros:
        postings.append(Posting(book + ":house:commission", commission_micros))
    if insured_micros:
        postings.append(Posting(book + ":house:insurance", -insured_micros))
    return tuple(postings)


def swap_postings(account: Account, amount_micros: int, insured_micros: int) -> tuple[Posting, ...]:
    """Return the group of overnight financing; a positive amount is paid to the client.

    Source: docs/ENGINE.md, rule G2.
    """
    book = account.kind.value
    rows = (
        (client_ledger(account.kind, account.account), amount_micros + insured_micros),
        (f"{book}:house:swap", -amount_micros),
        (f"{book}:house:insurance", -insured_micros),
    )
    return tuple(Posting(name, amount) for name, amount in rows if amount)


def insurance_postings(account: Account, amount_micros: int) -> tuple[Posting, ...]:
    """Return the group that lifts a negative balance to zero.

    Source: docs/ENGINE.md, rule L6.
    """
    book = account.kind.value
    return (
        Posting(client_ledger(account.kind, account.account), amount_micros),
        Posting(f"{book}:house:insurance", -amount_micros),
    )


def cash_postings(
    account: Account, *, client_micros: int, pending_micros: int, method: str
) -> tuple[Posting, ...]:
    """Return the group of a cash movement; what neither the client nor the pending account takes is the method's.

    Source: docs/ENGINE.md, rule G3.
    """
    book = account.kind.value
    rows = (
        (client_ledger(account.kind, account.account), client_micros),
        (f"{book}:cash:pending", pending_micros),
        (f"{book}:cash:{method}", -client_micros - pending_micros),
    )
    return tuple(Posting(name, amount) for name, amount in rows if amount)


def post(
    state: State, account: Account, postings: tuple[Posting, ...], balance_micros: int
) -> None:
    """Apply a posting group and hold it to the balance that the event states.

    Errors: InvariantError for a group that does not sum to zero, names another client or book, or misses the balance.
    """
    total = 0
    prefix = account.kind + ":"
    own = client_ledger(account.kind, account.account)
    for posting in postings:
        total += posting.amount_micros
        if posting.ledger == own:
            account.balance_micros += posting.amount_micros
        elif posting.ledger.startswith(prefix) and _CLIENT not in posting.ledger:
            state.house[posting.ledger] = state.house.get(posting.ledger, 0) + posting.amount_micros
        else:
            message = f"posting to {posting.ledger} in a group of account {account.account}"
            raise InvariantError(message)
    check(total == 0, "posting group does not sum to zero")
    check(account.balance_micros == balance_micros, "balance differs from the event's")
