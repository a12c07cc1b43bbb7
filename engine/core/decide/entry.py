"""One entry, decided: the order of things, the table of answered requests, and the dispatch (rules E1-E5)."""

from collections.abc import Callable
from typing import Any

from engine.core.decide import (
    accounts,
    amending,
    definitions,
    financing,
    isolated,
    orders,
    pending,
    positions,
)
from engine.core.decide.checks import check_deadline, find_account
from engine.core.decide.ending import finish
from engine.core.decide.firing import fire_triggers
from engine.core.decide.margin_check import check_margins
from engine.core.decide.quotes import take_quotes
from engine.core.decide.work import Work
from engine.core.expiries import is_due
from engine.core.requests import answered
from engine.core.state import Account, State
from engine.messages import commands as cmd
from engine.messages.events import AnyEvent
from engine.messages.replies import Accepted, AnyReply, Rejected
from engine.values import SEQUENCE_BITS

AccountHandler = Callable[[Work, Account, Any], Accepted | Rejected]
Handler = Callable[[Work, Any], Accepted | Rejected]


def advance(state: State, entry_id: int) -> int:
    """Move the position and the logical time to an entry and return the entry's own; time never goes back (rule E1)."""
    state.entry_id = entry_id
    state.entry_count += 1
    # entry_time_us(), written out.
    time_us = (entry_id >> SEQUENCE_BITS) * 1000
    if time_us > state.now_us:
        state.now_us = time_us
    return time_us


def decide_quotes(
    state: State, entry: cmd.UpdateQuotes, time_us: int, decided_at_us: int
) -> Work | None:
    """Expire orders, take the quotes, fire triggers, check margins: in this order (rule E2); None: nothing came of it."""
    events: list[AnyEvent] = []
    if state.expiries and is_due(state):
        before = Work(state, state.now_us, time_us, decided_at_us)
        pending.expire_orders(before)
        events += before.events
    found = take_quotes(state, entry, events)
    if found is None and not events:
        return None
    work = Work(state, state.now_us, time_us, decided_at_us, is_quotes=True, events=events)
    written = list(found.values()) if found else []
    fire_triggers(work, written)
    for instrument in written:
        for account_id in instrument.watchers:
            work.touched[account_id] = True
    if work.touched:
        check_margins(work, written[0] if written else None)
    return work


def decide_tick(work: Work) -> None:
    """Let time pass: orders expire (rule E2)."""
    pending.expire_orders(work)


def decide_command(work: Work, command: cmd.AnyCommand, key: str, digest: bytes) -> AnyReply:
    """Answer a command once and for all, with everything that follows from it in the same entry (rules E2, E3)."""
    state = work.state
    if is_due(state):
        pending.expire_orders(work)
    known = answered(state, key, command, digest)
    if known is not None:
        return known
    reply = check_deadline(work, command) or _dispatch(work, command)
    finish(work)
    return reply


def _dispatch(work: Work, command: cmd.AnyCommand) -> Accepted | Rejected:
    handler = _ACCOUNT_HANDLERS.get(type(command))
    if handler is None:
        return _HANDLERS[type(command)](work, command)
    of_account: Any = command
    account = find_account(work.state, of_account)
    if type(account) is Rejected:
        return account
    return handler(work, account, command)


def _skip_entry(_: Work, __: cmd.SkipEntry) -> Accepted:
    """Answer only: the runtime scans ahead for this command and passes over the entry that it names (rule E5)."""
    return Accepted()


_ACCOUNT_HANDLERS: dict[type, AccountHandler] = {
    cmd.PostCash: accounts.post_cash,
    cmd.PlaceOrder: orders.place_order,
    cmd.ModifyOrder: amending.modify_order,
    cmd.CancelOrder: pending.cancel_order,
    cmd.CancelAll: pending.cancel_all,
    cmd.ModifyPosition: positions.modify_position,
    cmd.ClosePosition: positions.close_one,
    cmd.CloseAll: positions.close_all,
    cmd.CloseBy: positions.close_by,
    cmd.ReversePosition: positions.reverse_position,
    cmd.AddMargin: isolated.add_margin,
    cmd.RemoveMargin: isolated.remove_margin,
    cmd.SetAccountGroup: accounts.set_group,
    cmd.SetAccountStatus: accounts.set_status,
    cmd.SetAccountLeverageCap: accounts.set_leverage_cap,
}
_HANDLERS: dict[type, Handler] = {
    cmd.OpenAccount: accounts.open_account,
    cmd.DefineInstrument: definitions.define_instrument,
    cmd.SetTradingMode: definitions.set_trading_mode,
    cmd.SetPriceSource: definitions.set_price_source,
    cmd.DefineGroup: definitions.define_group,
    cmd.ChargeSwap: financing.charge_swap,
    cmd.SkipEntry: _skip_entry,
}
