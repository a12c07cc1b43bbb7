"""Terms of a group as an account holds them, and what a change does to its isolated positions (rules A4, D3)."""

from engine.core.decide.closing import position_liquidation
from engine.core.decide.work import Work
from engine.core.state import Account, entity_id
from engine.messages.definitions import GroupSpec, Terms
from engine.messages.events import AccountTermsChanged


def terms_of(group: GroupSpec) -> Terms:
    """Return the terms that a group gives to its accounts."""
    return Terms(
        group.name,
        group.version,
        group.commission_ppm,
        group.leverage_cap,
        group.margin_call_level_bps,
        group.stop_out_level_bps,
        group.stop_out_strategy,
        group.negative_balance_protection,
    )


def with_liquidations(
    work: Work, account: Account, terms: Terms, instrument_index: int | None = None
) -> AccountTermsChanged | None:
    """Return the event that brings new terms, or new tiers of one instrument, to an account; None where nothing changes."""
    liquidations = []
    for k in sorted(account.positions):
        position = account.positions[k]
        is_meant = instrument_index in (None, position.instrument)
        if position.is_cross or not is_meant:
            continue
        found = position_liquidation(
            terms,
            work.state.instruments[position.instrument],
            position,
            margin_micros=position.margin_micros,
            units=position.quantity_units,
        )
        if found != position.liquidation_ticks:
            liquidations.append((entity_id(account.account, k), found))
    if terms == account.terms and not liquidations:
        return None
    return AccountTermsChanged(
        account=account.account,
        seq=account.seq + 1,
        terms=terms,
        liquidations=tuple(liquidations),
    )
