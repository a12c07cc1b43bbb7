"""The journal of outputs and what is built from it: ledger and read models of accounts, orders, positions, fills.

Only the projector writes here. The journal is append-only (a trigger says so); everything else can be dropped and rebuilt from it
and comes out equal. Units as in engine/values.py; times are microseconds UTC as the engine stated them.
"""

from uuid import uuid4

from django.db import models
from django.db.models import F, Q
from typing_extensions import override

from apps.trade.choices import OrderState, StatementFormat, StatementState


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
        indexes = (
            models.Index(name="trade_ledger_account", fields=("account", "n")),
            models.Index(name="trade_ledger_name", fields=("ledger",)),
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
            models.Index(
                name="trade_history_money",
                fields=("account", "-seq"),
                condition=~Q(amount_micros=0),
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


class SymbolMark(models.Model):
    """What the journal of a shard knows of an instrument's price: its scale, and the last quote in the receipts of its events."""

    pk = models.CompositePrimaryKey("shard", "symbol")
    shard = models.PositiveSmallIntegerField()
    symbol = models.CharField(max_length=32)
    # Micro-USD per tick and unit, by the instrument's last definition; 0 before there is one.
    k = models.BigIntegerField(default=0)
    # Empty before the first receipt with a quote.
    bid_ticks = models.BigIntegerField(null=True)
    ask_ticks = models.BigIntegerField(null=True)
    # Source time of the quote.
    ts_us = models.BigIntegerField(default=0)

    class Meta:
        constraints = (
            models.CheckConstraint(
                name="trade_mark_positive",
                condition=Q(bid_ticks__gte=1) & Q(ask_ticks__gte=F("bid_ticks")),
            ),
        )

    @override
    def __str__(self) -> str:
        return f"{self.shard}/{self.symbol}"


class AccountDay(models.Model):
    """What one day (UTC) brought an account, and what it was worth after its last event of that day; micro-USD.

    Only days with events have a row: what is read tells the others too, and values all at their close (ADR 30).
    """

    pk = models.CompositePrimaryKey("account", "day")
    account = models.BigIntegerField()
    day = models.DateField()
    # Balance before the first event and after the last one.
    opening_micros = models.BigIntegerField()
    closing_micros = models.BigIntegerField()
    # Realised P&L before commission, commission paid, swap, and everything else (cash, insurance).
    pnl_micros = models.BigIntegerField(default=0)
    commission_micros = models.BigIntegerField(default=0)
    swap_micros = models.BigIntegerField(default=0)
    other_micros = models.BigIntegerField(default=0)
    # Closings, of whole positions and of parts.
    trades = models.IntegerField(default=0)
    # Open positions at the last prices on record (SymbolMark), and the closing balance with them.
    unrealised_micros = models.BigIntegerField(default=0)
    equity_micros = models.BigIntegerField()

    class Meta:
        # Of who won and lost in the last days, over all accounts.
        indexes = (models.Index(name="trade_account_day", fields=("day",)),)
        constraints = (
            models.CheckConstraint(
                name="trade_day_adds_up",
                condition=Q(
                    closing_micros=F("opening_micros")
                    + F("pnl_micros")
                    - F("commission_micros")
                    + F("swap_micros")
                    + F("other_micros")
                ),
            ),
            models.CheckConstraint(
                name="trade_day_equity",
                condition=Q(equity_micros=F("closing_micros") + F("unrealised_micros")),
            ),
            models.CheckConstraint(
                name="trade_day_counts", condition=Q(commission_micros__gte=0) & Q(trades__gte=0)
            ),
        )

    @override
    def __str__(self) -> str:
        return f"{self.account} {self.day}"


class HouseDay(models.Model):
    """What one day (UTC) brought one of the house's ledger accounts, by the postings of one shard; micro-USD."""

    pk = models.CompositePrimaryKey("shard", "ledger", "day")
    shard = models.PositiveSmallIntegerField()
    # Such as live:house:commission.
    ledger = models.CharField(max_length=64)
    day = models.DateField()
    amount_micros = models.BigIntegerField()

    class Meta:
        permissions = (
            ("view_house", "Can view exposure, results and liquidations of the house"),
            ("view_health", "Can view the health of feed, engine and jobs"),
        )
        indexes = (models.Index(name="trade_house_day", fields=("day",)),)

    @override
    def __str__(self) -> str:
        return f"{self.shard}/{self.ledger} {self.day}"


class Account(models.Model):
    """A trading account as its events left it."""

    account = models.BigIntegerField(primary_key=True)
    owner_id = models.BigIntegerField()
    kind = models.CharField(max_length=8)
    group = models.CharField(max_length=64)
    status = models.CharField(max_length=12)
    margin_mode = models.CharField(max_length=10)
    leverage_cap = models.PositiveSmallIntegerField()
    balance_micros = models.BigIntegerField()
    # Last event and last cash command of the account.
    seq = models.BigIntegerField()
    cash_seq = models.BigIntegerField()
    is_margin_call = models.BooleanField()
    is_stop_out_pending = models.BooleanField()
    opened_at_us = models.BigIntegerField()

    class Meta:
        ordering = ("account",)
        indexes = (models.Index(name="trade_account_owner", fields=("owner_id",)),)
        constraints = (
            models.CheckConstraint(
                name="trade_account_numbers", condition=Q(seq__gte=1) & Q(cash_seq__gte=0)
            ),
        )

    @override
    def __str__(self) -> str:
        return str(self.account)


class Order(models.Model):
    """An order, pending or ended; a market order is filled from the start."""

    order_id = models.CharField(max_length=40, primary_key=True)
    account = models.BigIntegerField()
    symbol = models.CharField(max_length=32)
    side = models.CharField(max_length=4)
    order_type = models.CharField(max_length=10)
    quantity_units = models.BigIntegerField()
    leverage = models.PositiveSmallIntegerField()
    margin_mode = models.CharField(max_length=10)
    price_ticks = models.BigIntegerField(null=True)
    stop_price_ticks = models.BigIntegerField(null=True)
    # Whether the stop of a stop-limit order was reached.
    is_activated = models.BooleanField(default=False)
    time_in_force = models.CharField(max_length=4)
    expires_at_us = models.BigIntegerField(null=True)
    stop_loss_ticks = models.BigIntegerField(null=True)
    take_profit_ticks = models.BigIntegerField(null=True)
    trailing_ticks = models.BigIntegerField(null=True)
    state = models.CharField(max_length=10, choices=OrderState.choices)
    # Reason of a cancellation or code of a refusal.
    end_reason = models.CharField(max_length=48, blank=True)
    placed_at_us = models.BigIntegerField()

    class Meta:
        ordering = ("-placed_at_us", "order_id")
        indexes = (models.Index(name="trade_order_account", fields=("account", "-placed_at_us")),)
        constraints = (
            models.CheckConstraint(
                name="trade_order_quantities",
                condition=Q(quantity_units__gte=1) & Q(leverage__gte=1) & Q(leverage__lte=100),
            ),
        )

    @override
    def __str__(self) -> str:
        return self.order_id


class Position(models.Model):
    """A position, open or closed; it has the id of the order that opened it."""

    position_id = models.CharField(max_length=40, primary_key=True)
    account = models.BigIntegerField()
    symbol = models.CharField(max_length=32)
    direction = models.CharField(max_length=5)
    # As opened, and what of it is still open.
    quantity_units = models.BigIntegerField()
    open_units = models.BigIntegerField()
    entry_price_ticks = models.BigIntegerField()
    leverage = models.PositiveSmallIntegerField()
    margin_mode = models.CharField(max_length=10)
    margin_micros = models.BigIntegerField()
    # Sums over the position's life so far; P&L before commission and swap.
    commission_micros = models.BigIntegerField()
    pnl_micros = models.BigIntegerField()
    swap_micros = models.BigIntegerField()
    stop_loss_ticks = models.BigIntegerField(null=True)
    take_profit_ticks = models.BigIntegerField(null=True)
    trailing_ticks = models.BigIntegerField(null=True)
    # Liquidation price of an isolated position; 0 is none.
    liquidation_ticks = models.BigIntegerField()
    opened_at_us = models.BigIntegerField()
    # Empty while open.
    closed_at_us = models.BigIntegerField(null=True)

    class Meta:
        ordering = ("-opened_at_us", "position_id")
        indexes = (
            models.Index(
                name="trade_position_open",
                fields=("account", "position_id"),
                condition=Q(closed_at_us__isnull=True),
            ),
            models.Index(name="trade_position_account", fields=("account", "-opened_at_us")),
        )
        constraints = (
            models.CheckConstraint(
                name="trade_position_quantities",
                condition=Q(open_units__gte=0)
                & Q(quantity_units__gte=F("open_units"))
                & Q(entry_price_ticks__gte=1)
                & Q(margin_micros__gte=0),
            ),
            models.CheckConstraint(
                name="trade_position_closed_when_nothing_is_open",
                condition=Q(open_units=0, closed_at_us__isnull=False)
                | Q(open_units__gt=0, closed_at_us__isnull=True),
            ),
        )

    @override
    def __str__(self) -> str:
        return self.position_id


class Fill(models.Model):
    """One execution: quantity at a price at a time, opening or closing."""

    fill_id = models.CharField(max_length=48, primary_key=True)
    account = models.BigIntegerField()
    position_id = models.CharField(max_length=40)
    symbol = models.CharField(max_length=32)
    side = models.CharField(max_length=4)
    is_closing = models.BooleanField()
    quantity_units = models.BigIntegerField()
    price_ticks = models.BigIntegerField()
    commission_micros = models.BigIntegerField()
    at_us = models.BigIntegerField()
    # Output that carries it.
    shard = models.PositiveSmallIntegerField()
    n = models.BigIntegerField()

    class Meta:
        ordering = ("-at_us", "fill_id")
        indexes = (
            models.Index(name="trade_fill_account", fields=("account", "-at_us")),
            models.Index(name="trade_fill_position", fields=("position_id",)),
        )
        constraints = (
            models.CheckConstraint(
                name="trade_fill_positive",
                condition=Q(quantity_units__gte=1)
                & Q(price_ticks__gte=1)
                & Q(commission_micros__gte=0),
            ),
        )

    @override
    def __str__(self) -> str:
        return self.fill_id


class ClosedTrade(models.Model):
    """What one closing brought: a whole position or a part of it, from entry to exit."""

    fill_id = models.CharField(max_length=48, primary_key=True)
    account = models.BigIntegerField()
    position_id = models.CharField(max_length=40)
    symbol = models.CharField(max_length=32)
    direction = models.CharField(max_length=5)
    quantity_units = models.BigIntegerField()
    entry_price_ticks = models.BigIntegerField()
    close_price_ticks = models.BigIntegerField()
    # Before commission; commission of the closing only.
    pnl_micros = models.BigIntegerField()
    commission_micros = models.BigIntegerField()
    # What the insurance account paid.
    insured_micros = models.BigIntegerField()
    close_reason = models.CharField(max_length=16)
    opened_at_us = models.BigIntegerField()
    closed_at_us = models.BigIntegerField()
    # The account's event that it is; orders the history.
    seq = models.BigIntegerField()

    class Meta:
        ordering = ("-closed_at_us", "-seq", "fill_id")
        indexes = (
            models.Index(name="trade_closed_account", fields=("account", "-seq")),
            models.Index(name="trade_closed_position", fields=("position_id",)),
        )
        constraints = (
            models.CheckConstraint(
                name="trade_closed_positive",
                condition=Q(quantity_units__gte=1)
                & Q(entry_price_ticks__gte=1)
                & Q(close_price_ticks__gte=1)
                & Q(insured_micros__gte=0),
            ),
        )

    @override
    def __str__(self) -> str:
        return self.fill_id


class StatementFile(models.Model):
    """A statement that was asked for as a file: made by the worker, kept for its owner."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    account = models.BigIntegerField()
    # Period, microseconds UTC: from the first instant on, before the second.
    start_us = models.BigIntegerField()
    end_us = models.BigIntegerField()
    file_format = models.CharField(max_length=4, choices=StatementFormat.choices)
    state = models.CharField(
        max_length=8, choices=StatementState.choices, default=StatementState.WAITING
    )
    # Why it could not be made, as its owner is told; empty unless it has failed.
    fault = models.CharField(max_length=200, blank=True)
    # Entries that have been read so far.
    progress = models.BigIntegerField(default=0)
    content = models.BinaryField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created_at",)
        indexes = (models.Index(name="trade_statement_account", fields=("account", "-created_at")),)
        constraints = (
            models.CheckConstraint(
                name="trade_statement_ready_with_content",
                condition=Q(state="ready", content__isnull=False) | ~Q(state="ready"),
            ),
            models.CheckConstraint(
                name="trade_statement_period", condition=Q(end_us__gt=F("start_us"))
            ),
        )

    @override
    def __str__(self) -> str:
        return f"{self.account} {self.id}"
