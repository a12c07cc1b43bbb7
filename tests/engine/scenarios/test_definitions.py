"""Rules D1-D5: instruments, groups, modes and price sources."""

from tests.engine.scenarios.story import BTC, GROUP, Story


def test_specifications_must_make_sense() -> None:
    Story().tell("""
        instrument BTCUSDT version=2 price_decimals=2 -> DEFINITION_INVALID
        instrument BTCUSDT version=2 quantity_min_units=150 -> DEFINITION_INVALID
        instrument BTCUSDT version=2 quantity_max_units=50 -> DEFINITION_INVALID
        instrument BTCUSDT version=1 stop_distance_ticks=5 -> DEFINITION_INVALID
        instrument BTCUSDT version=1 -> nothing
        instrument BTCUSDT version=2 stop_distance_ticks=5 -> InstrumentDefined
        """)


def test_tier_caps_must_rise() -> None:
    story = Story()
    outcome = story.define(BTC | {"version": 2, "tiers": [[5, 10, 0, 0], [5, 5, 0, 0]]})

    assert outcome is not None
    assert outcome.reply.data["fault"] == "tier caps must rise"


def test_decimals_stay_once_quoted() -> None:
    Story().tell("""
        instrument BTCUSDT version=2 price_decimals=0 -> InstrumentDefined
        quote BTCUSDT 60000 60010
        instrument BTCUSDT version=3 price_decimals=1 -> DEFINITION_INVALID
        """)


def test_a_page_carries_the_present_specification() -> None:
    story = Story()
    known = story.define(BTC, after_account=5)
    other = story.define(BTC | {"version": 2}, after_account=5)
    unknown = story.define(BTC | {"symbol": "NEWUSDT"}, after_account=5)
    group = story.send("DefineGroup", source="test", spec=GROUP | {"name": "x"}, after_account=5)
    changed = story.send("DefineGroup", source="test", spec=GROUP | {"version": 9}, after_account=5)

    assert known is not None
    assert known.reply.next_account == 0
    faults = [
        outcome.reply.data["fault"] for outcome in (other, unknown, group, changed) if outcome
    ]
    assert faults == [
        "a page must carry the present specification",
        "a first definition starts with the first page",
        "a first definition starts with the first page",
        "a page must carry the present specification",
    ]


def test_groups_need_a_stop_out_below_the_call_and_a_rising_version() -> None:
    Story().tell("""
        group standard version=2 stop_out_level_bps=10000 -> DEFINITION_INVALID
        group standard version=1 commission_ppm=1 -> DEFINITION_INVALID
        group standard version=2 commission_ppm=1 -> GroupDefined
        """)


def test_tiers_change_isolated_liquidation_prices_in_pages() -> None:
    story = Story().tell("quote BTCUSDT 60000.0 60010.0")
    with story.unchecked():
        for account in range(1, 145):
            story.tell(f"""
                account {account} 1000.00
                quote BTCUSDT 60000.0 60010.0
                open I{account} {account} BTCUSDT buy 0.10 x10 mode=isolated
                """)
    spec = BTC | {"version": 2, "tiers": [[50_000_000_000, 100, 8_000, 0]]}
    first = story.define(spec)
    assert first is not None
    assert (len(first.events), first.reply.next_account) == (143, 142)
    story.tell("position I142 liquidation=54466.5\nposition I143 liquidation=54247.6")
    second = story.define(spec, after_account=142)
    assert second is not None
    assert (len(second.events), second.reply.next_account) == (2, 0)
    story.tell("position I143 liquidation=54466.5")


def test_modes_and_sources_name_known_symbols() -> None:
    Story().tell("""
        mode halted NOPE -> SYMBOL_UNKNOWN
        source live NOPE -> SYMBOL_UNKNOWN
        source live -> PriceSourceSet symbol=BTCUSDT; PriceSourceSet symbol=ETHUSDT
        source live -> nothing
        """)
