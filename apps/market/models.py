"""Tables of the market: instruments with their contract specification.

The rows are the source of the `DefineInstrument` commands; what the engine trades by is its own copy, so a change here takes
effect only through a new version that is sent to it. Candles and quotes have no models: they never pass through the ORM.
"""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from typing_extensions import override

from apps.market.choices import Liquidity, Mode, ModeChangeState, PriceSource


class Instrument(models.Model):
    """What is traded: one contract specification, known by its symbol."""

    # Name in the API and in the engine, such as BTCUSDT.
    symbol = models.CharField(max_length=32, unique=True)
    # The traded coin, such as BTC.
    base = models.CharField(max_length=32)
    # Name for people, such as Bitcoin.
    name = models.CharField(max_length=64)
    # Place in lists, from 1.
    rank = models.PositiveIntegerField()
    liquidity = models.CharField(max_length=8, choices=Liquidity.choices)
    # Grows with each change of what the engine is told.
    spec_version = models.PositiveIntegerField(default=1)
    # Prices are integers of 10^-price_decimals (ticks), quantities of 10^-quantity_decimals (units).
    price_decimals = models.PositiveSmallIntegerField()
    quantity_decimals = models.PositiveSmallIntegerField()
    # Rough price at the time of the catalogue, ticks: base of the defaults and start of the simulator.
    reference_price_ticks = models.BigIntegerField()
    # Smallest, stepwise and largest quantity of one order, units.
    quantity_min_units = models.BigIntegerField()
    quantity_step_units = models.BigIntegerField()
    quantity_max_units = models.BigIntegerField()
    # Usual spread, ticks: what the replay and the simulator quote around a price.
    spread_ticks = models.BigIntegerField()
    # Widest spread and largest unconfirmed move that the feed accepts, ppm of the price.
    spread_ppm_max = models.PositiveIntegerField()
    jump_ppm_max = models.PositiveIntegerField()
    # What the feed adds to each side of the spread, ppm of the mid.
    markup_ppm = models.PositiveIntegerField(default=0, db_default=0)
    # Least distance of stop loss and take profit from the closing price, ticks.
    stop_distance_ticks = models.BigIntegerField()
    # [[notional cap micro-USD, highest leverage, maintenance rate ppm, maintenance amount micro-USD], ...] by rising cap.
    tiers = models.JSONField()
    # Yearly financing, ppm of notional; positive is paid to the client.
    swap_long_ppm = models.IntegerField()
    swap_short_ppm = models.IntegerField()
    # Oldest quote that may fill, microseconds.
    quote_age_us_max = models.BigIntegerField()
    # Largest gross notional of one account and largest net notional of the house, micro-USD; 0 is no cap.
    exposure_account_micros_max = models.BigIntegerField()
    exposure_house_micros_max = models.BigIntegerField()
    # As the engine last stated it.
    trading_mode = models.CharField(max_length=12, choices=Mode.choices, default=Mode.OPEN)
    # Empty until the first feed has served the instrument, then changed by an operator's command only.
    source_class = models.CharField(
        max_length=12, choices=PriceSource.choices, blank=True, default=""
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("rank", "symbol")
        permissions = (("set_price_source", "Can let instruments take prices of another class"),)
        constraints = (
            models.CheckConstraint(
                name="market_instrument_decimals_exact",
                condition=Q(price_decimals__lte=6 - F("quantity_decimals")),
            ),
            models.CheckConstraint(
                name="market_instrument_quantities_ordered",
                condition=Q(quantity_step_units__gte=1)
                & Q(quantity_min_units__gte=F("quantity_step_units"))
                & Q(quantity_max_units__gte=F("quantity_min_units")),
            ),
            models.CheckConstraint(
                name="market_instrument_prices_positive",
                condition=Q(reference_price_ticks__gte=1)
                & Q(spread_ticks__gte=1)
                & Q(stop_distance_ticks__gte=0)
                & Q(quote_age_us_max__gte=1),
            ),
            models.CheckConstraint(
                name="market_instrument_caps_not_negative",
                condition=Q(exposure_account_micros_max__gte=0)
                & Q(exposure_house_micros_max__gte=0),
            ),
        )

    @override
    def __str__(self) -> str:
        return self.symbol


class SwapRollover(models.Model):
    """A rollover that the engine has charged in every instrument; the oldest row is the day on which the installation began."""

    # The rollover is this day's 00:00 UTC.
    day = models.DateField(unique=True)
    # How many instruments were charged; 0 on the first day.
    instruments = models.PositiveIntegerField(default=0)
    charged_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-day",)

    @override
    def __str__(self) -> str:
        return f"{self.day}"


class ModeChange(models.Model):
    """The kill switch: one person asks for a trading mode, another one confirms it, and the engine is told."""

    # Empty: every instrument.
    symbol = models.CharField(max_length=32, blank=True)
    trading_mode = models.CharField(max_length=12, choices=Mode.choices)
    reason = models.CharField(max_length=200)
    state = models.CharField(
        max_length=12, choices=ModeChangeState.choices, default=ModeChangeState.WAITING
    )
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    asked_at = models.DateTimeField(auto_now_add=True)
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    confirmed_at = models.DateTimeField(null=True)
    # Code of the engine's refusal, empty without one.
    code = models.CharField(max_length=48, blank=True)

    class Meta:
        ordering = ("-id",)
        verbose_name = "trading mode"
        permissions = (("decide_modechange", "Can ask for trading modes and confirm them"),)
        constraints = (
            models.CheckConstraint(
                name="market_mode_change_two_people",
                condition=Q(confirmed_by__isnull=True) | ~Q(confirmed_by=F("asked_by")),
            ),
            models.CheckConstraint(
                name="market_mode_change_confirmed",
                condition=Q(state__in=("waiting", "withdrawn")) | Q(confirmed_by__isnull=False),
            ),
        )

    @override
    def __str__(self) -> str:
        return f"{self.symbol or 'all instruments'}: {self.get_trading_mode_display()}"
