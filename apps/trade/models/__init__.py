"""The journal of outputs and what is built from it: ledger and read models of accounts, orders, positions, fills.

Only the projector writes here. The journal is append-only (a trigger says so); everything else can be dropped and rebuilt from it
and comes out equal. Units as in engine/values.py; times are microseconds UTC as the engine stated them.
"""

from apps.trade.models.days import AccountDay, HouseDay, SymbolMark
from apps.trade.models.journal import HistoryEvent, JournalEntry, LedgerEntry, ProjectorOffset
from apps.trade.models.statements import StatementFile
from apps.trade.models.trading import Account, ClosedTrade, Fill, Order, Position

__all__ = [
    "Account",
    "AccountDay",
    "ClosedTrade",
    "Fill",
    "HistoryEvent",
    "HouseDay",
    "JournalEntry",
    "LedgerEntry",
    "Order",
    "Position",
    "ProjectorOffset",
    "StatementFile",
    "SymbolMark",
]
