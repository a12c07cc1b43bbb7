"""The journal of outputs, where the projector stands in it, and its index of events and postings by account.

The journal is append-only: a trigger says so.
"""

from django.db import models
from django.db.models import Q
from typing_extensions import override


class ProjectorOffset(models.Model):
    """Where the projector stands in one chain of outputs; moved in the transaction of what it read."""

    pk = models.CompositePrimaryKey("layout", "shard")
    # Number of the shard layout; a reshard starts the next one.
    layout = models.PositiveSmallIntegerField()
    shard = models.PositiveSmallIntegerField()
    # Number, id (packed) and chain hash of the last output that was projected; 0 and the genesis hash before the first.
    n = models.BigIntegerField()
    output_id = models.BigIntegerField()
    chain = models.BinaryField(max_length=32)

    @override
    def __str__(self) -> str:
        return f"{self.layout}/{self.shard}: {self.n}"


class JournalEntry(models.Model):
    """One output, byte for byte: together they are the history of a shard."""

    pk = models.CompositePrimaryKey("layout", "shard", "n")
    layout = models.PositiveSmallIntegerField()
    shard = models.PositiveSmallIntegerField()
    n = models.BigIntegerField()
    # Stream id, packed as in engine/values.py.
    output_id = models.BigIntegerField()
    # Of the command; 0 and empty for quotes and ticks.
    account = models.BigIntegerField()
    request_id = models.CharField(max_length=64, blank=True)
    # The bytes that the chain hash covers; empty where there is nothing.
    reply = models.BinaryField()
    events = models.BinaryField()
    command = models.BinaryField()
    decided_at_us = models.BigIntegerField()
    epoch = models.BigIntegerField()
    build = models.CharField(max_length=64)
    chain = models.BinaryField(max_length=32)
    # Version of the wire form that reply, events and command are written in.
    version = models.PositiveSmallIntegerField(default=1)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                name="trade_journal_output_id", fields=("layout", "shard", "output_id")
            ),
        )
        indexes = (
            models.Index(
                name="trade_journal_request",
                fields=("account", "request_id"),
                condition=~Q(request_id=""),
            ),
        )

    @override
    def __str__(self) -> str:
        return f"{self.layout}/{self.shard}/{self.n}"


class LedgerEntry(models.Model):
    """One debit or credit; those of one event form a group that sums to zero (a trigger says so)."""

    # Output and event that made the posting, and its place in the group.
    layout = models.PositiveSmallIntegerField()
    shard = models.PositiveSmallIntegerField()
    n = models.BigIntegerField()
    event_index = models.IntegerField()
    posting_index = models.PositiveSmallIntegerField()
    # Ledger account with its book, such as demo:client:1001.
    ledger = models.CharField(max_length=64)
    # Signed micro-USD.
    amount_micros = models.BigIntegerField()
    # The trading account whose event it is, and what happened.
    account = models.BigIntegerField()
    kind = models.CharField(max_length=32)

    class Meta:
        verbose_name_plural = "ledger entries"
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                name="trade_ledger_posting_once",
                fields=("layout", "shard", "n", "event_index", "posting_index"),
            ),
        )
        # None by ledger account: sums read the whole table. The sum of one client is found by the account, the postings of an event by
        # its output.
        indexes = (
            models.Index(
                name="trade_ledger_client",
                fields=("account",),
                condition=Q(ledger__contains=":client:"),
            ),
        )

    @override
    def __str__(self) -> str:
        return f"{self.ledger} {self.amount_micros}"


class HistoryEvent(models.Model):
    """One event of an account: where it stands in the journal, what it is about, what it did to the balance."""

    pk = models.CompositePrimaryKey("account", "seq")
    account = models.BigIntegerField()
    # The account's gapless number of the event.
    seq = models.BigIntegerField()
    # Output and place in it.
    layout = models.PositiveSmallIntegerField()
    shard = models.PositiveSmallIntegerField()
    n = models.BigIntegerField()
    event_index = models.IntegerField()
    # Name of the event, such as PositionOpened.
    kind = models.CharField(max_length=32)
    # Order that it is about, and its symbol; empty for events of the account as a whole.
    order_id = models.CharField(max_length=40, blank=True)
    symbol = models.CharField(max_length=32, blank=True)
    # What the event added to the balance, and the balance after it; micro-USD.
    amount_micros = models.BigIntegerField()
    balance_micros = models.BigIntegerField()
    # Time of the log entry.
    at_us = models.BigIntegerField()

    class Meta:
        indexes = (
            models.Index(
                name="trade_history_order", fields=("order_id", "seq"), condition=~Q(order_id="")
            ),
            models.Index(name="trade_history_time", fields=("account", "at_us")),
        )
        constraints = (
            models.CheckConstraint(name="trade_history_seq", condition=Q(seq__gte=1)),
            models.UniqueConstraint(
                name="trade_history_event_once", fields=("layout", "shard", "n", "event_index")
            ),
        )

    @override
    def __str__(self) -> str:
        return f"{self.account}/{self.seq} {self.kind}"
