"""Overnight financing on a real engine, log and database: every night once, whatever was down at midnight."""

import threading
from datetime import UTC, date, datetime, time, timedelta

import pytest

from apps.common.clock import datetime_from_us, us_from_datetime
from apps.common.errors import EngineTimeoutError
from apps.market import services
from apps.market.financing import SwapRelay, swap_charge_due
from apps.market.models import SwapRollover
from apps.trade.models import LedgerEntry, Position
from apps.trade.selectors import ledger_faults
from engine.messages.commands import PlaceOrder
from engine.values import Side, SourceClass
from tests.apps.live import SYMBOL, live_platform
from tests.integration.engine_log import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

# 0.1 BTC at a bid of 60,000.0 for a 360th of 10 % a year; at an ask of 60,010.0 for a 360th of 2 %. Both up.
LONG_NIGHT = -1_666_667
SHORT_NIGHT = -333_389


@pytest.fixture
def live(transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path):
    with live_platform(stream_prefix, log_redis_url, redis_url, tmp_path, timeout_ms=500) as live:
        services.price_source_record(symbol=SYMBOL, source_class=SourceClass.SIMULATED)
        live.price(600_000, 600_100)
        yield live


@pytest.fixture
def today(live):
    """The day on which an account has opened a long and a short position; the installation began that day."""
    user, account = live.user()
    for side in (Side.BUY, Side.SELL):
        live.send(
            PlaceOrder(
                request_id=side.value,
                user_id=user.pk,
                account=account.id,
                symbol=SYMBOL,
                side=side,
                quantity_units=10_000,
                leverage=10,
            )
        )
    live.project()
    opened_at_us = Position.objects.earliest("opened_at_us").opened_at_us
    day = datetime_from_us(opened_at_us).date()
    SwapRollover.objects.create(day=day)
    return day


def charge(today: date, nights: int) -> list[date]:
    """Charge as at noon so many days later."""
    instant = datetime.combine(today, time(12), UTC) + timedelta(days=nights)
    return swap_charge_due(at_us=us_from_datetime(instant))


def swaps(live) -> dict[str, int]:
    """Return what each position has paid, as the read models say, which must agree with the ledger."""
    live.project()
    paid = dict(Position.objects.values_list("direction", "swap_micros"))
    booked = LedgerEntry.objects.filter(kind="SwapCharged", ledger__startswith="demo:client:")
    assert sum(booked.values_list("amount_micros", flat=True)) == sum(paid.values())
    assert ledger_faults() == []
    return paid


def after(today: date, *nights: int) -> list[date]:
    return [today + timedelta(days=night) for night in nights]


def test_an_installation_begins_to_charge_with_its_first_midnight(live):
    day = date(2026, 5, 28)

    assert (charge(day, 0), charge(day, 0)) == ([], [])
    assert [row.day for row in SwapRollover.objects.all()] == [day]


def test_each_night_is_charged_once_and_missed_ones_are_made_up_for(live, today):
    one = charge(today, 1), swaps(live)
    again = charge(today, 1), swaps(live)
    three_later = charge(today, 4), swaps(live)

    assert one == (after(today, 1), {"long": LONG_NIGHT, "short": SHORT_NIGHT})
    assert again == ([], one[1])
    assert three_later == (
        after(today, 2, 3, 4),
        {"long": 4 * LONG_NIGHT, "short": 4 * SHORT_NIGHT},
    )


def test_a_position_owes_no_night_before_it_was_opened(live, today):
    SwapRollover.objects.update(day=today - timedelta(days=3))

    assert charge(today, 0) == after(today, -2, -1, 0)
    assert swaps(live) == {"long": 0, "short": 0}


def test_an_unknown_outcome_is_asked_for_again_and_a_lost_mark_charges_nobody_twice(live, today):
    live.engine_stop()
    with pytest.raises(EngineTimeoutError):
        charge(today, 1)
    marks = SwapRollover.objects.count()
    live.engine_start()

    def charged():
        try:
            return charge(today, 1)
        except EngineTimeoutError:
            return None

    late = wait_for(charged, "an engine that answers")
    SwapRollover.objects.filter(day=today + timedelta(days=1)).delete()
    repeated = charge(today, 1)

    assert marks == 1
    assert late == repeated == after(today, 1)
    assert swaps(live) == {"long": LONG_NIGHT, "short": SHORT_NIGHT}


def test_the_relay_charges_by_itself_what_is_due(live, today):
    SwapRollover.objects.update(day=today - timedelta(days=1))
    relay = SwapRelay()
    thread = threading.Thread(target=relay.run)
    thread.start()
    wait_for(lambda: SwapRollover.objects.filter(day__gte=today).exists(), "the rollover of today")
    relay.stop()
    thread.join(10)

    assert not thread.is_alive()
