"""What days brought accounts and the house, and the prices that open positions are valued at."""

from django.db import models
from django.db.models import F, Q
from typing_extensions import override


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
