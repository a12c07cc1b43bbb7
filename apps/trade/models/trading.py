"""Accounts, orders, positions, fills and closed trades as the events left them."""

from django.db import models
from django.db.models import F, Q
from typing_extensions import override

from apps.trade.choices import OrderState
from apps.trade.models.ids import by_id


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
        ordering = ("-placed_at_us", *by_id("order_id", is_descending=True))
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
        ordering = ("-opened_at_us", *by_id("position_id", is_descending=True))
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
        ordering = ("-at_us", *by_id("position_id", "fill_id", is_descending=True))
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
