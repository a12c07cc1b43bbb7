"""What the house has at stake: every figure against a sum of the test's own, and the ladder against what the engine then does."""

import importlib
import itertools
from collections import Counter
from datetime import timedelta
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection

from apps.common.clock import datetime_from_us, now_us
from apps.common.exact_json import json_decode
from apps.trade.facade import (
    LADDER_STEPS,
    BookExposure,
    HousePrice,
    HouseResult,
    HouseResults,
    Rung,
    accounts_by_result,
    house_exposure,
    house_prices,
    house_results,
    liquidation_ladder,
)
from apps.trade.models import ClosedTrade, HouseDay
from engine.messages.codec import decode_events
from engine.messages.commands import ChargeSwap, OpenAccount, PlaceOrder, PostCash
from engine.messages.events import AccountEvent
from engine.values import AccountKind, Actor, CashKind, MarginMode, Side

pytestmark = pytest.mark.integration

MICRO = 10**6
# One decimal: 10,000.0 and 10,010.0. Both have a whole tick at every step of the ladder.
BID, ASK = 100_000, 100_100
CLIENT_MICROS = 10_000 * MICRO
numbers = itertools.count(1)


def place(live, account: int, side: Side, units: int, leverage: int, mode: MarginMode) -> None:
    """Open a position; units of 0.00001, so one tick of one unit is a micro-USD."""
    live.send(
        PlaceOrder(
            request_id=f"place-{next(numbers)}",
            actor=Actor.SYSTEM,
            account=account,
            symbol="BTCUSDT",
            side=side,
            quantity_units=units,
            leverage=leverage,
            margin_mode=mode,
        )
    )


def live_account(live, account: int) -> int:
    """Open an account of the live book with 10,000 USD."""
    common = {"actor": Actor.SYSTEM, "account": account}
    live.send(
        OpenAccount(
            request_id=f"open-{account}",
            owner_id=account,
            kind=AccountKind.LIVE,
            group="standard",
            **common,
        )
    )
    live.send(
        PostCash(
            request_id=f"cash-{account}",
            cash_seq=1,
            kind=CashKind.DEPOSIT,
            amount_micros=CLIENT_MICROS,
            method="bank",
            **common,
        )
    )
    return account


def today():
    return datetime_from_us(now_us()).date()


@pytest.fixture
def cast(live) -> SimpleNamespace:
    """Clients whose positions go at different distances, in both books."""
    live.price(BID, ASK)
    user, demo = live.user()
    accounts = SimpleNamespace(demo=demo.id, user=user, live=live_account(live, 900_001))
    accounts.short = live_account(live, 900_002)
    accounts.hedged = live_account(live, 900_003)
    accounts.isolated = live_account(live, 900_004)
    # Units, so that 100,000 of them are one coin of 10,000 USD.
    place(live, accounts.live, Side.BUY, 1_000_000, 20, MarginMode.CROSS)
    for _ in range(2):
        place(live, accounts.demo, Side.BUY, 1_000_000, 50, MarginMode.CROSS)
        place(live, accounts.short, Side.SELL, 950_000, 50, MarginMode.CROSS)
        place(live, accounts.hedged, Side.BUY, 1_000_000, 50, MarginMode.CROSS)
        place(live, accounts.hedged, Side.SELL, 1_000_000, 50, MarginMode.CROSS)
    place(live, accounts.isolated, Side.BUY, 100_000, 25, MarginMode.ISOLATED)
    place(live, accounts.isolated, Side.BUY, 200_000, 12, MarginMode.ISOLATED)
    place(live, accounts.isolated, Side.SELL, 300_000, 20, MarginMode.ISOLATED)
    live.project()
    return accounts


def by_book(rows: tuple[BookExposure, ...]) -> dict[AccountKind, BookExposure]:
    return {row.book: row for row in rows}


def test_exposure_is_told_by_book_at_present_prices(live, cast):
    live.price(BID + 500, ASK + 500)
    live.price(BID + 1000, ASK + 1000)
    # Something must happen for the journal to hear of a price; a web process hears it by itself.
    place(live, cast.demo, Side.SELL, 1_000, 50, MarginMode.CROSS)
    live.project()

    books = by_book(house_exposure())

    demo, own = books[AccountKind.DEMO], books[AccountKind.LIVE]
    assert (demo.positions, demo.accounts) == (3, 1)
    assert (demo.long_units, demo.short_units, demo.net_units) == (2_000_000, 1_000, 1_999_000)
    assert demo.long_micros == 2_000_000 * (BID + 1000)
    assert demo.short_micros == 1_000 * (ASK + 1000)
    assert demo.net_micros == 1_999_000 * (BID + 1000)
    assert demo.unrealised_micros == 2_000_000 * (BID + 1000 - ASK) - 1_000 * (
        ASK + 1000 - (BID + 1000)
    )
    assert (own.positions, own.accounts) == (10, 4)
    longs, shorts = 1_000_000 + 2_000_000 + 300_000, 1_900_000 + 2_000_000 + 300_000
    assert (own.long_units, own.short_units) == (longs, shorts)
    # More is sold than bought, so the net is valued where shorts are closed.
    assert own.net_micros == (longs - shorts) * (ASK + 1000)
    assert own.gross_micros == longs * (BID + 1000) + shorts * (ASK + 1000)
    assert own.unrealised_micros == longs * (BID + 1000 - ASK) + shorts * (BID - ASK - 1000)


def test_exposure_follows_the_engine_and_ends_with_the_positions(live, cast):
    told = json_decode(live.client(cast.user).get("/api/v1/balance").content)["data"]
    demo = by_book(house_exposure())[AccountKind.DEMO]
    live.client(cast.user).post("/api/v1/trade/closeAll", {})
    live.project()

    assert demo.unrealised_micros == Fraction(told["equity"] - told["balance"]) * MICRO
    assert demo.margin_micros == Fraction(told["usedMargin"]) * MICRO
    assert set(by_book(house_exposure())) == {AccountKind.LIVE}
    unpriced = by_book(house_exposure(prices={}))[AccountKind.LIVE]
    assert (unpriced.net_micros, unpriced.gross_micros, unpriced.unrealised_micros) == (None,) * 3
    assert unpriced.long_units == 3_300_000


def house_postings(live) -> Counter[str]:
    """Sum up the house's accounts from the engine's own outputs."""
    sums: Counter[str] = Counter()
    for _, fields in live.hand.outputs():
        for event in decode_events(fields.events):
            if isinstance(event, AccountEvent):
                for posting in getattr(event, "postings", ()):
                    if ":house:" in posting.ledger:
                        sums[posting.ledger] += posting.amount_micros
    return sums


def result_of(sums: Counter[str], book: AccountKind) -> HouseResult:
    parts = ("pnl", "commission", "swap", "insurance")
    return HouseResult(**{f"{part}_micros": sums[f"{book}:house:{part}"] for part in parts})


def test_results_are_those_of_the_ledger(live, cast):
    # A swap, a gain, and a crash that takes more than some clients have.
    live.send(
        ChargeSwap(
            request_id="swap",
            source="test",
            actor=Actor.SYSTEM,
            symbol="BTCUSDT",
            rollover_day=now_us() // 86_400_000_000 + 1,
            nights=1,
        )
    )
    live.price(BID + 200, ASK + 200)
    live.client(cast.user).post("/api/v1/trade/closeAll", {})
    live.price(80_000, 80_080)
    live.project()

    sums = house_postings(live)
    later = today() + timedelta(days=2)
    for book in AccountKind:
        expected = result_of(sums, book)
        found = house_results(book, since=today())
        assert found.total == expected
        assert found.days == ((today(), expected),)
        assert house_results(book, since=later) == HouseResults(total=expected, days=())
        assert expected.commission_micros > 0
    crashed = house_results(AccountKind.LIVE, since=today()).total
    assert crashed.insurance_micros < 0 < crashed.pnl_micros
    assert crashed.swap_micros != 0
    assert crashed.sum_micros == sum(v for k, v in sums.items() if k.startswith("live:"))

    # An installation that is brought up to date has the days before, too.
    rows = list(HouseDay.objects.order_by("shard", "ledger", "day").values())
    HouseDay.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(importlib.import_module("apps.trade.migrations.0011_house_days_filled").FILL)
    assert list(HouseDay.objects.order_by("shard", "ledger", "day").values()) == rows
    assert len(rows) == 7


def test_winners_and_losers_are_put_in_order_by_what_they_have_made(live, cast):
    live.price(BID + 300, ASK + 300)
    place(live, cast.live, Side.BUY, 1_000, 20, MarginMode.CROSS)
    live.project()
    price = house_prices()["BTCUSDT"]

    winners, losers = accounts_by_result(AccountKind.LIVE, since=today(), limit=10)

    commission = {
        cast.live: 1_000_000 * ASK * 400 // MICRO + -(-1_000 * (ASK + 300) * 400 // MICRO),
        cast.hedged: 2_000_000 * (ASK + BID) * 400 // MICRO,
    }
    assert (price.bid_ticks, price.ask_ticks) == (BID + 300, ASK + 300)
    open_live = 1_000_000 * (BID + 300 - ASK) + 1_000 * (BID - ASK)
    found = {row.account: row for row in (*winners, *losers)}
    assert found[cast.live].realised_micros == -commission[cast.live]
    assert found[cast.live].unrealised_micros == open_live
    assert found[cast.live].balance_micros == CLIENT_MICROS - commission[cast.live]
    assert found[cast.hedged].sum_micros == -commission[cast.hedged] - 2_000_000 * 2 * (ASK - BID)
    assert [row.account for row in winners] == [cast.live]
    assert [row.account for row in losers] == sorted(
        (row.account for row in losers), key=lambda account: found[account].sum_micros
    )
    assert {row.account for row in losers} == {cast.short, cast.hedged, cast.isolated}
    assert accounts_by_result(AccountKind.LIVE, since=today(), limit=1)[1] == losers[:1]


def rungs_of(move: int) -> dict[AccountKind, Rung]:
    ladder = liquidation_ladder()
    assert ladder.accounts_unjudged == 0
    return {rung.book: rung for rung in ladder.rungs if rung.move == move}


def taken(reason: str) -> dict[AccountKind, list[Any]]:
    """Return the positions that were closed for a reason, with their accounts, by book."""
    rows = ClosedTrade.objects.filter(close_reason=reason).values_list("position_id", "account")
    found: dict[AccountKind, list[Any]] = {kind: [] for kind in AccountKind}
    for position, account in rows:
        found[AccountKind.LIVE if account >= 900_000 else AccountKind.DEMO].append(
            (position, account)
        )
    return found


@pytest.mark.parametrize("move", [-10, -5, 5])
def test_what_the_ladder_foretells_is_what_the_engine_does(live, cast, move: int):
    foretold = rungs_of(move)

    live.price(BID * (100 + move) // 100, ASK * (100 + move) // 100)
    live.project()

    isolated, stopped = taken("liquidation"), taken("stop_out")
    for book in AccountKind:
        rung = foretold.get(book)
        assert len({p for p, _ in isolated[book]}) == (rung.isolated_positions if rung else 0)
        assert len({a for _, a in isolated[book]}) == (rung.isolated_accounts if rung else 0)
        assert len({a for _, a in stopped[book]}) == (rung.cross_accounts if rung else 0)
        assert len({p for p, _ in stopped[book]}) <= (rung.cross_positions if rung else 0)


def test_the_ladder_has_a_case_for_each_kind_and_guesses_nothing(live, cast, monkeypatch):
    down, up = rungs_of(-5), rungs_of(5)

    # 4 % of margin, less upkeep and the way from the bid to the ask.
    assert down[AccountKind.LIVE].isolated_positions == 1
    assert down[AccountKind.LIVE].isolated_micros == 100_000 * BID
    assert down[AccountKind.DEMO].cross_accounts == 1
    assert down[AccountKind.DEMO].cross_micros == 2_000_000 * BID
    assert up[AccountKind.LIVE].isolated_micros == 300_000 * ASK
    assert up[AccountKind.LIVE].cross_micros == 1_900_000 * ASK
    assert AccountKind.DEMO not in up
    deepest = rungs_of(-LADDER_STEPS[-1])[AccountKind.LIVE]
    assert (deepest.isolated_positions, deepest.cross_accounts) == (2, 1)
    assert deepest.sum_micros == (100_000 + 200_000 + 1_000_000) * BID

    monkeypatch.setattr("apps.trade.services.house.ladder.stop_out_levels", lambda: {"other": 1})
    ladder = liquidation_ladder()
    assert ladder.accounts_unjudged == 4
    assert all(rung.cross_accounts == 0 for rung in ladder.rungs)


def test_an_empty_house_has_nothing_at_stake(live):
    assert house_exposure() == ()
    assert house_results(AccountKind.LIVE, since=today()).total == HouseResult()
    assert accounts_by_result(AccountKind.LIVE, since=today(), limit=5) == ((), ())
    assert liquidation_ladder().rungs == ()
    assert house_prices() == {} or isinstance(house_prices()["BTCUSDT"], HousePrice)
