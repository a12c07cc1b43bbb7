"""Tell a table of rows to the engine and hold what it answers against each row's expectation.

A row is ``verb words key=value ... -> expectation``. An expectation is a refusal code, or event names in order, each with the
fields that matter: ``PositionOpened price=60010.0 margin=60.01; MarginCallRaised``. No expectation means: accepted, whatever
events follow; ``-> nothing`` means no event at all. Numbers are written as people write them; the field's unit decides.

Every row is followed by the full invariants, and by a restart that must change nothing: by turns the next row meets the machine's
dump, loaded, or a machine that was told the outcome as a journal tells it and armed everything anew.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from engine.core.machine import Machine, Outcome
from engine.messages import commands as cmd
from engine.messages import views
from engine.messages.codec import content_digest, decode_message, encode
from engine.messages.events import AnyEvent
from engine.messages.replies import Rejected
from engine.values import scaled_from_text, text_from_scaled

START_MS = 1_700_000_000_000
STEP_MS = 100
CLIENT = 7

BTC = {
    "symbol": "BTCUSDT",
    "base": "BTC",
    "version": 1,
    "price_decimals": 1,
    "quantity_decimals": 5,
    "quantity_min_units": 100,
    "quantity_step_units": 100,
    "quantity_max_units": 100_000_000,
    "stop_distance_ticks": 0,
    "tiers": [
        [50_000_000_000, 100, 4_000, 0],
        [600_000_000_000, 50, 5_000, 50_000_000],
        [3_000_000_000_000, 20, 6_500, 950_000_000],
    ],
    "swap_long_ppm": -100_000,
    "swap_short_ppm": 36_000,
    "quote_age_us_max": 5_000_000,
}
ETH = BTC | {
    "symbol": "ETHUSDT",
    "base": "ETH",
    "price_decimals": 2,
    "quantity_decimals": 4,
    "quantity_min_units": 10,
    "quantity_step_units": 10,
}
GROUP = {"name": "standard", "version": 1, "commission_ppm": 400}
SUFFIXES = ("", "_ticks", "_units", "_micros", "_bps", "_ppm", "_us")
ENTRY_BITS = 21


class Story:
    """One machine, its clock, and the names that the rows give to orders."""

    def __init__(self, **group: Any) -> None:
        """Begin with two instruments, one group, and time standing at START_MS."""
        self.machine = Machine()
        self.is_checked = True
        # What was decided so far, by entry id.
        self.outcomes: dict[int, Outcome | None] = {}
        self.ms = START_MS
        self.requests = 0
        self.sequences: dict[str, int] = {}
        self.ids: dict[str, str] = {}
        self.specs = {"BTCUSDT": dict(BTC), "ETHUSDT": dict(ETH)}
        self.group = GROUP | group
        for spec in self.specs.values():
            self.define(spec)
        self.send("DefineGroup", source="test", spec=self.group)

    # What reaches the engine.

    def apply(self, message: cmd.AnyMessage, decided_at_us: int = 0) -> Outcome | None:
        """Apply one entry a step later, check everything, and go on with a restarted machine."""
        self.ms += STEP_MS
        entry_id = self.ms << ENTRY_BITS
        message = decode_message(encode(message))
        digest = content_digest(message) if isinstance(message, cmd.Command) else b""
        if not self.is_checked:
            outcome = self.machine.decide(entry_id, message, digest, decided_at_us)
            self.outcomes[entry_id] = outcome
            return outcome
        before = self.machine.state_hash()
        recorded = Machine.load(self.machine.dump(), shard=0, shards=1)
        outcome = self.machine.decide(entry_id, message, digest, decided_at_us)
        self.outcomes[entry_id] = outcome
        if outcome is None:
            assert before == self.machine.state_hash()
        recorded.evolve_recorded(entry_id, message, outcome, digest)
        recorded.finish_recovery()
        self._hold_restart(recorded)
        return outcome

    def _hold_restart(self, recorded: Machine) -> None:
        """Hold that a loaded dump and a machine that evolved the outcome are the same as this one; take one of them."""
        image = self.machine.dump()
        loaded = Machine.load(image, shard=0, shards=1)
        assert loaded.dump() == image
        for machine in (self.machine, recorded):
            machine.verify()
            assert machine.state_hash() == self.machine.state_hash()
            assert machine.market_hash() == self.machine.market_hash()
        self.machine = recorded if self.machine.state.entry_count % 2 else loaded

    @contextmanager
    def unchecked(self) -> Iterator[None]:
        """Leave the checks out while a large stage is set, and make them once at its end."""
        self.is_checked = False
        yield
        self.is_checked = True
        self.apply(cmd.Tick())

    def send(self, name: str, /, *, decided_at_us: int = 0, **fields: Any) -> Outcome | None:
        """Send one command by name, as JSON would."""
        self.requests += 1
        body = {"type": name, "request_id": f"r{self.requests}", "actor": "system"} | fields
        return self.apply(msgspec.convert(body, cmd.AnyMessage), decided_at_us)

    def define(self, spec: dict[str, Any], **fields: Any) -> Outcome | None:
        """Define an instrument."""
        return self.send(
            "DefineInstrument", source="test", spec=spec, source_class="replay", **fields
        )

    # Rows.

    def tell(self, table: str) -> "Story":
        """Tell every row of a table."""
        for line in table.strip().splitlines():
            row = line.strip()
            if row and not row.startswith("#"):
                self._row(row)
        return self

    def _row(self, row: str) -> None:
        said, _, expected = (part.strip() for part in row.partition("->"))
        verb, *words = said.split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        plain = [word for word in words if "=" not in word]
        outcome = getattr(self, f"_{verb}")(plain, options)
        if verb not in ("state", "position", "wait", "preview"):
            self._hold(row, outcome, expected)

    def _hold(self, row: str, outcome: Outcome | None, expected: str) -> None:
        reply = outcome.reply if outcome else None
        events = list(outcome.events) if outcome else []
        if isinstance(reply, Rejected):
            code, *rest = expected.split()
            assert reply.code == code, f"{row}\n  found {reply}"
            self._hold_fields(row, reply.data, "BTCUSDT", rest)
            return
        if not expected:
            return
        names = [part.split()[0] for part in expected.split(";")] if expected != "nothing" else []
        assert [type(event).__name__ for event in events] == names, f"{row}\n  found {outcome}"
        for event, part in zip(events, expected.split(";"), strict=False):
            fields = msgspec.structs.asdict(event)
            self._hold_fields(row, fields, self._symbol_of(event), part.split()[1:])

    def _hold_fields(
        self, row: str, fields: dict[str, Any], symbol: str, wanted: list[str]
    ) -> None:
        for word in wanted:
            name, _, text = word.partition("=")
            field = next((name + suffix for suffix in SUFFIXES if name + suffix in fields), name)
            assert field in fields, f"{row}\n  no {name} in {fields}"
            found = self._text(field, fields[field], symbol)
            want = self._text(field, self._value(field, text, symbol), symbol)
            assert found == want, f"{row}\n  {field} is {found}, not {want}, in {fields}"

    def _symbol_of(self, event: AnyEvent) -> str:
        symbol = getattr(event, "symbol", None)
        if symbol:
            return str(symbol)
        entity = getattr(event, "position_id", None) or getattr(event, "order_id", None)
        return self.ids.get(f"symbol:{entity}", "BTCUSDT")

    def _decimals(self, field: str, symbol: str) -> int | None:
        spec = self.specs.get(symbol, BTC)
        if "_ticks" in field:
            return int(spec["price_decimals"])
        if "_units" in field:
            return int(spec["quantity_decimals"])
        return 6 if "_micros" in field else None

    def _value(self, field: str, text: str, symbol: str) -> Any:
        if text in ("none", "null"):
            return None
        decimals = self._decimals(field, symbol)
        if decimals is not None:
            return scaled_from_text(text, decimals)
        return self.ids.get(text, text)

    def _text(self, field: str, value: Any, symbol: str) -> str:
        decimals = self._decimals(field, symbol)
        if isinstance(value, int) and decimals is not None:
            return text_from_scaled(value, decimals)
        return str(value).lower() if isinstance(value, bool) else str(value)

    def _fields(
        self, options: dict[str, str], symbol: str, names: dict[str, str]
    ) -> dict[str, Any]:
        """Return command fields from a row's options; ``names`` maps short words to fields."""
        fields: dict[str, Any] = {}
        for key, text in options.items():
            field = names.get(key, key)
            value = self._value(field, text, symbol)
            fields[field] = int(value) if isinstance(value, str) and value.isdigit() else value
        return fields

    def _client(self, account: str, fields: dict[str, Any]) -> dict[str, Any]:
        return {"actor": "client", "user_id": CLIENT, "account": int(account)} | fields

    # Verbs.

    def _account(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Open an account, with a deposit if an amount follows: ``account 1 1000.00``."""
        fields = {"account": int(words[0]), "owner_id": CLIENT, "kind": "demo", "group": "standard"}
        outcome = self.send("OpenAccount", **fields | self._fields(options, "BTCUSDT", {}))
        return self._cash([words[0], "deposit", words[1]], {}) if len(words) > 1 else outcome

    def _cash(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Move cash: ``cash 1 withdrawal 10.00``; the account's next number unless cash_seq is given."""
        account, kind, amount = words
        known = self.machine.state.accounts.get(int(account))
        fields = {
            "account": int(account),
            "cash_seq": known.cash_seq + 1 if known else 1,
            "kind": kind,
            "amount_micros": scaled_from_text(amount, 6),
            "method": "bank",
        }
        return self.send("PostCash", **fields | self._fields(options, "BTCUSDT", {}))

    def _quote(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Bring quotes: ``quote BTCUSDT 60000.0 60010.0 [ETHUSDT 3000.00 3000.10]``; age in ms, source, seq."""
        source = options.get("source", "tape")
        sequence = int(options.get("seq", self.sequences.get(source, 0) + 1))
        self.sequences[source] = max(sequence, self.sequences.get(source, 0))
        ts_us = (self.ms + STEP_MS - int(options.get("age", "0"))) * 1000
        quotes = []
        for start in range(0, len(words), 3):
            symbol, bid, ask = words[start : start + 3]
            decimals = self.specs.get(symbol, BTC)["price_decimals"]
            prices = (scaled_from_text(bid, decimals), scaled_from_text(ask, decimals))
            quotes.append([symbol, *prices, ts_us])
        body = {
            "type": "UpdateQuotes",
            "source": source,
            "source_class": options.get("class", "replay"),
            "feed_epoch": 1,
            "sequence": sequence,
            "quotes": quotes,
        }
        return self.apply(msgspec.convert(body, cmd.AnyMessage))

    def _open(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Place an order: ``open P1 1 BTCUSDT buy 0.10 x100 [limit] price=.. stop=.. sl=.. tp=.. trail=.. mode=..``."""
        name, account, symbol, side, quantity, leverage, *kind = words
        decided_at_us = int(options.pop("decided_at_us", "0"))
        known = {
            "price": "price_ticks",
            "stop": "stop_price_ticks",
            "sl": "stop_loss_ticks",
            "tp": "take_profit_ticks",
            "trail": "trailing_ticks",
            "mode": "margin_mode",
            "expected": "expected_price_ticks",
            "quoted": "quoted_price_ticks",
            "slippage": "slippage_ppm",
            "tif": "time_in_force",
        }
        decimals = self.specs.get(symbol, BTC)["quantity_decimals"]
        fields = {
            "symbol": symbol,
            "side": side,
            "quantity_units": scaled_from_text(quantity, decimals),
            "leverage": int(leverage.removeprefix("x")),
            "order_type": kind[0] if kind else "market",
        } | self._fields(options, symbol if symbol in self.specs else "BTCUSDT", known)
        outcome = self.send(
            "PlaceOrder", decided_at_us=decided_at_us, **self._client(account, fields)
        )
        created = getattr(outcome.reply, "created", ()) if outcome else ()
        for order_id in created:
            self.ids |= {name: order_id, f"symbol:{name}": symbol, f"symbol:{order_id}": symbol}
        return outcome

    def _entity(
        self, kind: str, field: str, words: list[str], options: dict[str, str]
    ) -> Outcome | None:
        """Send a command about one order or position, named by its alias or its raw id."""
        name = words[0]
        entity = self.ids.get(name, name)
        symbol = self.ids.get(f"symbol:{name}", "BTCUSDT")
        known = {
            "price": "price_ticks",
            "stop": "stop_price_ticks",
            "quantity": "quantity_units",
            "sl": "stop_loss_ticks",
            "tp": "take_profit_ticks",
            "trail": "trailing_ticks",
            "tif": "time_in_force",
            "amount": "amount_micros",
            "expected": "expected_price_ticks",
            "slippage": "slippage_ppm",
        }
        fields = {field: entity} | self._fields(options, symbol, known)
        return self.send(kind, **self._client(entity.partition("-")[0], fields))

    def _modify(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Change a pending order: ``modify P1 price=.. sl=..``."""
        return self._entity("ModifyOrder", "order_id", words, options)

    def _cancel(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Cancel a pending order."""
        return self._entity("CancelOrder", "order_id", words, options)

    def _stops(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Change a position's stops: ``stops P1 sl=.. tp=none trail=..``."""
        return self._entity("ModifyPosition", "position_id", words, options)

    def _close(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Close a position, or ``quantity=`` of it."""
        return self._entity("ClosePosition", "position_id", words, options)

    def _add(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Add isolated margin: ``add P1 amount=10.00``."""
        return self._entity("AddMargin", "position_id", words, options)

    def _remove(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Remove isolated margin."""
        return self._entity("RemoveMargin", "position_id", words, options)

    def _reverse(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Reverse a position; a second word names the new one."""
        outcome = self._entity("ReversePosition", "position_id", words, options)
        for order_id in getattr(outcome.reply, "created", ()) if outcome else ():
            symbol = self.ids[f"symbol:{words[0]}"]
            self.ids |= {
                words[1]: order_id,
                f"symbol:{words[1]}": symbol,
                f"symbol:{order_id}": symbol,
            }
        return outcome

    def _closeby(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Close two positions against each other."""
        other = {"other_position_id": self.ids.get(words[1], words[1])}
        return self._entity("CloseBy", "position_id", words[:1], options | other)

    def _all(self, kind: str, words: list[str], options: dict[str, str]) -> Outcome | None:
        return self.send(kind, **self._client(words[0], self._fields(options, "BTCUSDT", {})))

    def _closeall(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Close all positions of an account: ``closeall 1 symbol=.. direction=.. profit=winners``."""
        return self._all("CloseAll", words, options)

    def _cancelall(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Cancel all pending orders of an account."""
        return self._all("CancelAll", words, options)

    def _swap(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Charge financing: ``swap BTCUSDT day=19676 nights=1``."""
        return self.send(
            "ChargeSwap",
            source="test",
            symbol=words[0],
            rollover_day=int(options["day"]),
            nights=int(options.get("nights", "1")),
        )

    def _mode(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Set the trading mode: ``mode halted [BTCUSDT]``."""
        return self.send(
            "SetTradingMode",
            source="test",
            trading_mode=words[0],
            symbol=words[1] if len(words) > 1 else None,
            **options,
        )

    def _source(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Pin another source class: ``source live [BTCUSDT]``."""
        return self.send(
            "SetPriceSource",
            source="test",
            source_class=words[0],
            symbol=words[1] if len(words) > 1 else None,
            **options,
        )

    def _status(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Set an account's status: ``status 1 close_only``."""
        return self.send("SetAccountStatus", account=int(words[0]), status=words[1], **options)

    def _cap(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Set an account's leverage cap: ``cap 1 20``."""
        return self.send(
            "SetAccountLeverageCap", account=int(words[0]), leverage_cap=int(words[1]), **options
        )

    def _togroup(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Move an account to a group: ``togroup 1 pro``."""
        return self.send("SetAccountGroup", account=int(words[0]), group=words[1], **options)

    def _group(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Define a group: ``group standard version=2 commission_ppm=500``."""
        spec = self.group | {"name": words[0]} | self._fields(options, "BTCUSDT", {})
        return self.send("DefineGroup", source="test", spec=spec)

    def _instrument(self, words: list[str], options: dict[str, str]) -> Outcome | None:
        """Define an instrument anew: ``instrument BTCUSDT version=2 stop_distance_ticks=10``; raw integers."""
        numbers = {key: int(text) for key, text in options.items()}
        spec = self.specs[words[0]] | numbers
        outcome = self.define(spec)
        if outcome and not isinstance(outcome.reply, Rejected):
            self.specs[words[0]] = spec
        return outcome

    def _tick(self, _: list[str], __: dict[str, str]) -> Outcome | None:
        """Let time pass without anything else."""
        return self.apply(cmd.Tick())

    def _wait(self, words: list[str], _: dict[str, str]) -> None:
        """Move the clock: ``wait 6000`` milliseconds."""
        self.ms += int(words[0])

    def _state(self, words: list[str], options: dict[str, str]) -> None:
        """Hold an account's figures: ``state 1 balance=.. equity=.. free_margin=..``."""
        view = self.machine.answer(views.AccountQuery(account=int(words[0])))
        wanted = [f"{key}={text}" for key, text in options.items()]
        self._hold_fields(f"state {words[0]}", msgspec.structs.asdict(view), "BTCUSDT", wanted)

    def _position(self, words: list[str], options: dict[str, str]) -> None:
        """Hold a position's figures: ``position P1 margin=.. liquidation=..``."""
        entity = self.ids[words[0]]
        view = self.machine.answer(views.AccountQuery(account=int(entity.partition("-")[0])))
        assert isinstance(view, views.AccountView)
        found = next(p for p in view.positions if p.position_id == entity)
        wanted = [f"{key}={text}" for key, text in options.items()]
        self._hold_fields(words[0], msgspec.structs.asdict(found), found.symbol, wanted)
