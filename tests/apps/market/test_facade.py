"""What other apps get from the market: instruments by any spelling, definitions once, recorded modes."""

import pytest

from apps.market import facade, services
from apps.market.feed.pins import source_classes_pin
from apps.market.models import Instrument
from engine.messages.codec import content_digest, decode_message, encode
from engine.messages.commands import DefineInstrument
from engine.values import SourceClass, TradingMode

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _catalogue(db):
    facade.catalogue_install()


def test_catalogue_is_installed_once_and_keeps_what_an_operator_changed():
    services.instrument_update(symbol="BTCUSDT", swap_long_ppm=-1)

    assert facade.catalogue_install() == 0
    assert len(facade.instruments()) == 123
    assert facade.instrument_get("BTC").swap_long_ppm == -1


@pytest.mark.parametrize(
    "text",
    ["BTC", "BTCUSDT", "BTC_USDT", "BTC/USDT", "BTC-USDT", "btc", "btc_usdt", "BtcUsdt"],
)
def test_every_spelling_means_the_symbol(text):
    assert facade.symbol_resolve(text) == "BTCUSDT"


def test_symbols_with_digits_are_understood():
    assert facade.symbol_resolve("1000PEPE") == "1000PEPEUSDT"
    assert facade.symbol_resolve("1inch/usdt") == "1INCHUSDT"


@pytest.mark.parametrize(
    "text",
    [
        *("", "USDT", "BTC_", "_USDT", "BTC__USDT", "BTCUSD", "NOPE", "BTC USDT", "BTC\n"),
        *("\uff22\uff34\uff23", "BTC,ETH", "x" * 1000, "BTC_USDT_USDT"),
    ],
)
def test_other_spellings_are_refused_with_a_code(text):
    with pytest.raises(facade.SymbolUnknownError) as caught:
        facade.symbol_resolve(text)

    assert (caught.value.code, caught.value.http_status) == ("SYMBOL_UNKNOWN", 400)


def test_definitions_name_pinned_instruments_only_and_survive_the_wire():
    assert list(facade.definition_commands()) == []
    source_classes_pin({"BTCUSDT": SourceClass.REPLAY, "ETHUSDT": SourceClass.SIMULATED})

    commands = list(facade.definition_commands())

    assert [(c.spec.symbol, c.source_class) for c in commands] == [
        ("BTCUSDT", SourceClass.REPLAY),
        ("ETHUSDT", SourceClass.SIMULATED),
    ]
    assert [decode_message(encode(command)) for command in commands] == commands


def test_definition_sent_again_is_the_same_until_the_specification_changes():
    source_classes_pin({"BTCUSDT": SourceClass.REPLAY})
    (first,) = facade.definition_commands()
    (again,) = facade.definition_commands()

    services.instrument_update(symbol="BTCUSDT", rank=2, spread_ticks=9)
    facade.trading_mode_record(symbol="BTCUSDT", trading_mode=TradingMode.HALTED)
    (unchanged,) = facade.definition_commands()
    services.instrument_update(symbol="BTCUSDT", stop_distance_ticks=50)
    (changed,) = facade.definition_commands()

    assert content_digest(first) == content_digest(again) == content_digest(unchanged)
    assert changed.request_id != first.request_id
    assert (changed.spec.version, changed.spec.stop_distance_ticks) == (2, 50)


def test_house_cap_is_shared_by_the_shards():
    source_classes_pin({"BTCUSDT": SourceClass.REPLAY})

    (one,) = facade.definition_commands(shards=1)
    (four,) = facade.definition_commands(shards=4)

    assert one.spec.exposure_house_micros_max == 4 * four.spec.exposure_house_micros_max
    assert one.request_id != four.request_id
    assert isinstance(four, DefineInstrument)


def test_each_reshard_tells_everything_under_a_version_of_its_own():
    source_classes_pin({"BTCUSDT": SourceClass.REPLAY})

    told = [
        next(iter(facade.definition_commands(shards=shards, layout=layout)))
        for layout, shards in enumerate((1, 4, 1), 1)
    ]

    assert [one.spec.version for one in told] == [1, 2, 3]
    assert [one.request_id for one in told] == ["BTCUSDT:1:1", "BTCUSDT:2:4", "BTCUSDT:3:1"]


def test_pin_is_never_moved_by_a_feed():
    source_classes_pin({"BTCUSDT": SourceClass.REPLAY})
    source_classes_pin({"BTCUSDT": SourceClass.LIVE, "ETHUSDT": SourceClass.LIVE})

    assert facade.price_source_class("BTC") is SourceClass.REPLAY
    assert facade.price_source_class("ETH") is SourceClass.LIVE
    assert facade.price_source_class("SOL") is None


def test_source_classes_are_decided_by_the_sources_of_the_settings(settings, tmp_path):
    tape = tmp_path / "tape.csv"
    tape.write_text("timestamp,open,high,low,close,volume\n2022-01-01,100,120,90,110,1\n")
    settings.FEEDS = [f"replay:{tape}", "simulator:seed=3"]

    facade.source_classes_decide()

    assert facade.price_source_class("BTC") is SourceClass.REPLAY
    assert facade.price_source_class("ETH") is SourceClass.SIMULATED
    assert not Instrument.objects.filter(source_class="").exists()


@pytest.mark.parametrize(
    "feeds",
    [
        [],
        ["nope"],
        ["binance:x"],
        ["simulator:speed=1"],
        ["simulator:seed=x"],
        ["replay"],
        ["replay:"],
        ["replay:tape.csv?speed=0"],
        ["replay:tape.csv?speed=1e3"],
        ["replay:tape.csv?symbol=NOPE"],
        ["replay:tape.csv?colour=red"],
    ],
    ids=str,
)
def test_feeds_that_make_no_sense_are_refused_with_a_sentence(settings, feeds):
    settings.FEEDS = feeds

    with pytest.raises(ValueError, match=r"FEEDS|expected|tape"):
        facade.source_classes_decide()


def test_update_refuses_what_positions_are_counted_in():
    with pytest.raises(ValueError, match="price_decimals"):
        services.instrument_update(symbol="BTCUSDT", price_decimals=3)


def test_trading_mode_is_recorded_for_one_and_for_all():
    facade.trading_mode_record(symbol=None, trading_mode=TradingMode.CLOSE_ONLY)
    facade.trading_mode_record(symbol="BTCUSDT", trading_mode=TradingMode.HALTED)

    assert facade.instrument_get("BTC").trading_mode is TradingMode.HALTED
    assert facade.instrument_get("ETH").trading_mode is TradingMode.CLOSE_ONLY
