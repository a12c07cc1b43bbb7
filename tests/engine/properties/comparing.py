"""Run engine and oracle side by side and compare everything after every entry."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from engine.core.machine import Machine, Outcome
from engine.messages import codec
from engine.messages import commands as c
from engine.messages.replies import AnyReply, Rejected
from engine.messages.views import AccountQuery, AccountView
from tests.engine.properties.histories import Chooser, Storyteller
from tests.engine.properties.naive_commands import Oracle
from tests.engine.properties.naive_state import Account

Plain = tuple[str, dict[str, Any]]
# What a refused command may leave behind: what time did, and the consumed cash number.
ALLOWED_BESIDE_REFUSAL = {"OrderExpired", "CashRefused"}


def digest_of(message: c.AnyMessage | None) -> bytes:
    is_command = message is not None and not isinstance(message, c.UpdateQuotes | c.Tick)
    return codec.content_digest(message) if is_command else b""


def plain(event: Any) -> Plain:
    """Return an event as the oracle speaks: of its receipt only the tier, and without the numbers behind a refusal."""
    fields = msgspec.structs.asdict(event)
    receipt = fields.pop("receipt", None)
    if receipt is not None and "tier" in receipt.inputs:
        fields["tier"] = receipt.inputs["tier"]
    fields.pop("data", None)
    if "postings" in fields:
        fields["postings"] = {p.ledger: p.amount_micros for p in event.postings}
    return type(event).__name__, fields


def reply_of(reply: AnyReply | None) -> Any:
    return reply.code if isinstance(reply, Rejected) else reply


def seen_by_oracle(oracle: Oracle, a: Account) -> dict[str, Any]:
    """Return what an account view says, from the oracle's state."""
    equity, used = oracle.figures(a)
    pnl = sum(map(oracle.pnl, a.positions.values()))
    isolated = sum(p.margin for p in a.positions.values() if p.mode == "isolated")
    return {
        "owner_id": a.owner,
        "seq": a.seq,
        "cash_seq": a.cash_seq,
        "kind": a.book,
        "status": a.status,
        "group": a.terms.group,
        "margin_mode": a.mode,
        "leverage_cap": min(a.cap, a.terms.leverage_cap),
        "margin_call_level_bps": a.terms.margin_call_level_bps,
        "stop_out_level_bps": a.terms.stop_out_level_bps,
        "is_margin_call": a.call,
        "is_stop_out_pending": a.stop_pending,
        "balance_micros": a.balance,
        "isolated_margin_micros": isolated,
        "cross_equity_micros": equity,
        "equity_micros": a.balance + pnl,
        "used_margin_micros": used,
        "free_margin_micros": equity - used,
        "withdrawable_micros": oracle.withdrawable(a),
        "pnl_unrealised_micros": pnl,
        "margin_level_bps": equity * 10_000 // used if used else None,
        "positions": [
            {
                "position_id": f"{a.id}-{p.k}",
                "symbol": p.symbol,
                "direction": "long" if p.sign > 0 else "short",
                "quantity_units": p.qty,
                "entry_price_ticks": p.entry,
                "price_ticks": oracle.closing(p),
                "leverage": p.leverage,
                "margin_mode": p.mode,
                "margin_micros": p.margin,
                "pnl_unrealised_micros": oracle.pnl(p),
                "stop_loss_ticks": p.sl,
                "take_profit_ticks": p.tp,
                "trailing_ticks": p.trail,
                "liquidation_ticks": p.lp or None,
                "opened_at_us": p.opened_us,
            }
            for _, p in sorted(a.positions.items())
        ],
        "orders": [
            {
                "order_id": f"{a.id}-{o.k}",
                "symbol": o.symbol,
                "side": "buy" if o.sign > 0 else "sell",
                "order_type": o.kind,
                "quantity_units": o.qty,
                "leverage": o.leverage,
                "margin_mode": o.mode,
                "price_ticks": o.price,
                "stop_price_ticks": o.stop,
                "is_activated": o.active,
                "time_in_force": o.tif,
                "expires_at_us": o.expires,
                "stop_loss_ticks": o.sl,
                "take_profit_ticks": o.tp,
                "trailing_ticks": o.trail,
            }
            for _, o in sorted(a.orders.items())
        ],
    }


def seen_by_engine(machine: Machine, account: int, like: dict[str, Any]) -> dict[str, Any]:
    """Return the engine's account view, cut to the fields of the oracle's."""
    view = machine.answer(AccountQuery(account=account))
    assert isinstance(view, AccountView)
    seen = {name: getattr(view, name) for name in like}
    for name, key in (("positions", "position_id"), ("orders", "order_id")):
        rows = sorted(getattr(view, name), key=lambda row: int(getattr(row, key).split("-")[1]))
        fields = like[name][0] if like[name] else {}
        seen[name] = [{field: getattr(row, field) for field in fields} for row in rows]
    return seen


class Comparison:
    """Engine and oracle under the same entries, with every invariant that outputs alone can show."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.oracle = Oracle()
        self.ledger: Counter[str] = Counter()
        self.entries: list[tuple[int, c.AnyMessage | None, Outcome | None, int]] = []

    def step(
        self, entry_id: int, message: c.AnyMessage | None, decided_at_us: int
    ) -> Outcome | None:
        """Apply one entry to both and compare."""
        digest = digest_of(message)
        reply, expected = self.oracle.apply(entry_id, message, digest, decided_at_us)
        outcome = self.machine.decide(entry_id, message, digest, decided_at_us)
        self.entries.append((entry_id, message, outcome, decided_at_us))
        events = [] if outcome is None else [plain(e) for e in outcome.events]
        assert events == expected, difference(events, expected)
        assert reply_of(outcome and outcome.reply) == reply_of(reply), f"{outcome}, oracle {reply}"
        assert (outcome is None) == (reply is None and not expected)
        if isinstance(reply, Rejected):
            assert {name for name, _ in events} <= ALLOWED_BESIDE_REFUSAL
        self.post(events)
        for account in sorted({e["account"] for _, e in events if "account" in e}):
            self.compare_account(account)
        self.check_margins()
        return outcome

    def post(self, events: list[Plain]) -> None:
        """Keep the ledger from the events alone: each group and the whole stay zero, balances follow."""
        for _, fields in events:
            postings = fields.get("postings", {})
            assert sum(postings.values()) == 0
            assert len({name.split(":")[0] for name in postings}) <= 1, "a posting mixes books"
            self.ledger.update(postings)
            if "balance_micros" in fields:
                a = self.oracle.accounts[fields["account"]]
                assert fields["balance_micros"] == self.ledger[f"{a.book}:client:{a.id}"]

    def check_margins(self) -> None:
        """After an entry, nobody whom a fresh price can close stands at or below the stop-out level."""
        for account in self.oracle.touched & self.oracle.may_stop_out:
            a = self.oracle.accounts[account]
            assert not (self.oracle.is_below(a) and self.oracle.closable(a))

    def compare_account(self, account: int) -> None:
        expected = seen_by_oracle(self.oracle, self.oracle.accounts[account])
        found = seen_by_engine(self.machine, account, expected)
        assert found == expected, f"account {account}: " + "; ".join(
            f"{name}: engine {found[name]}, oracle {expected[name]}"
            for name in expected
            if found[name] != expected[name]
        )

    def finish(self) -> None:
        """Compare every account, and replay what was recorded."""
        for account in self.oracle.accounts:
            self.compare_account(account)
        self.machine.verify()

    def replay(self, start: bytes | None = None, skip: int = 0) -> Machine:
        """Evolve the recorded outputs, from zero or from a snapshot taken after `skip` entries."""
        machine = Machine() if start is None else Machine.load(start, shard=0, shards=1)
        for entry_id, message, outcome, _ in self.entries[skip:]:
            machine.evolve_recorded(entry_id, message, outcome, digest_of(message))
        machine.finish_recovery()
        machine.verify()
        return machine


def difference(found: list[Plain], expected: list[Plain]) -> str:
    """Say where two lists of events part."""
    for number, (ours, theirs) in enumerate(zip(found, expected, strict=False)):
        if ours != theirs:
            fields = {
                k for k in ours[1].keys() | theirs[1].keys() if ours[1].get(k) != theirs[1].get(k)
            }
            return f"event {number}: engine {ours}\noracle {theirs}\ndiffer in {sorted(fields)}"
    shorter = min(len(found), len(expected))
    return f"engine also {found[shorter:]}, oracle also {expected[shorter:]}"


def tell(chooser: Chooser, length: int, **options: Any) -> Iterator[tuple[Comparison, Storyteller]]:
    """Tell a history of so many entries; yields after each."""
    comparison = Comparison()
    storyteller = Storyteller(chooser, comparison.oracle, **options)
    for entry in storyteller.prologue():
        comparison.step(*entry)
    yield comparison, storyteller
    for _ in range(length):
        comparison.step(*storyteller.tell())
        yield comparison, storyteller
