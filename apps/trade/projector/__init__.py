"""Turns the engine's outputs into the journal, the ledger and the read models; the only writer of this app's tables.

It reads outputs only, from its own offset row, and writes each batch with the new offset in one transaction.
"""

from apps.trade.projector.journal import output_from_journal
from apps.trade.projector.runner import Projector

__all__ = ["Projector", "output_from_journal"]
