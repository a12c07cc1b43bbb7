"""What stands before the chaos begins: one instrument, one group, funded accounts."""

from collections.abc import Iterable, Iterator

from engine.messages.commands import (
    AnyAccountCommand,
    AnyDefinitionCommand,
    DefineGroup,
    DefineInstrument,
    OpenAccount,
    PostCash,
)
from engine.messages.definitions import GroupSpec, InstrumentSpec, Tier
from engine.values import AccountKind, Actor, CashKind, SourceClass
from tests.chaos.sender import SYMBOL


def definitions() -> tuple[AnyDefinitionCommand, ...]:
    spec = InstrumentSpec(
        symbol=SYMBOL,
        base="BTC",
        version=1,
        price_decimals=1,
        quantity_decimals=3,
        quantity_min_units=1,
        quantity_step_units=1,
        quantity_max_units=1_000_000,
        stop_distance_ticks=1,
        tiers=(Tier(10**15, 100, 4_000, 0),),
        swap_long_ppm=0,
        swap_short_ppm=0,
        quote_age_us_max=60_000_000,
    )
    return (
        DefineGroup(
            request_id="group",
            source="chaos",
            actor=Actor.SYSTEM,
            spec=GroupSpec(name="standard", version=1, commission_ppm=100),
        ),
        DefineInstrument(
            request_id="instrument",
            source="chaos",
            actor=Actor.SYSTEM,
            spec=spec,
            source_class=SourceClass.SIMULATED,
        ),
    )


def account_commands(accounts: Iterable[int]) -> Iterator[AnyAccountCommand]:
    for account in accounts:
        yield OpenAccount(
            request_id="open",
            actor=Actor.SYSTEM,
            account=account,
            owner_id=account,
            kind=AccountKind.DEMO,
            group="standard",
        )
        yield PostCash(
            request_id="cash",
            actor=Actor.SYSTEM,
            account=account,
            cash_seq=1,
            kind=CashKind.DEPOSIT,
            amount_micros=10**12,
            method="demo",
        )
