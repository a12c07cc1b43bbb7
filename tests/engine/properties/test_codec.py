"""The wire form: every message survives the round trip; nothing else passes for one."""

import json
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.messages import codec
from engine.messages import commands as c
from engine.messages.commands import AnyCommand, AnyMessage
from engine.messages.events import AnyEvent
from engine.messages.replies import AnyReply
from engine.messages.views import AnyQuery, AnyView
from engine.values import SAFE_INTEGER_MAX
from tests.engine.properties.comparing import tell
from tests.engine.properties.histories import INSTRUMENTS, Seeded


def structs(union: Any) -> list[type[msgspec.Struct]]:
    """Return the structs of a union, nested unions included."""
    members = get_args(union)
    return [s for m in members for s in (structs(m) if get_args(m) else [m])]


def values(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Return messages of one kind, drawn from its own annotations and limits."""
    return st.builds(kind, **{f.name: of(f.type) for f in msgspec.inspect.type_info(kind).fields})


def of(info: Any) -> st.SearchStrategy[Any]:
    """Return what a field may hold; the msgspec description of its type says so."""
    match info:
        case msgspec.inspect.IntType():
            low = -(2**63) if info.ge is None else info.ge
            high = 2**63 - 1 if info.le is None else info.le
            return st.integers(low, high)
        case msgspec.inspect.StrType(pattern=str()):
            return st.from_regex("[a-z0-9_-]{1,32}", fullmatch=True)
        case msgspec.inspect.StrType():
            return st.text(min_size=info.min_length or 0, max_size=info.max_length or 20)
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.NoneType():
            return st.none()
        case msgspec.inspect.EnumType():
            return st.sampled_from(info.cls)
        case msgspec.inspect.UnionType():
            return st.one_of(*map(of, info.types))
        case msgspec.inspect.StructType():
            return values(info.cls)
        case msgspec.inspect.VarTupleType():
            return st.lists(of(info.item_type), min_size=info.min_length or 0, max_size=3).map(
                tuple
            )
        case msgspec.inspect.TupleType():
            return st.tuples(*map(of, info.item_types))
        case msgspec.inspect.DictType():
            return st.dictionaries(of(info.key_type), of(info.value_type), max_size=3)
    raise AssertionError(info)


MESSAGES = structs(AnyMessage)
# Shapes are few; more examples than this tell nothing new, whatever the profile.
examples = settings(max_examples=min(500, settings.default.max_examples))


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@given(data=st.data())
@examples
def test_every_message_survives_the_round_trip(kind: type[Any], data: st.DataObject) -> None:
    message = data.draw(values(kind))

    assert codec.decode_message(codec.encode(message)) == message


@pytest.mark.parametrize(
    ("union", "decode"),
    [(AnyReply, codec.decode_reply), (AnyQuery, codec.decode_query), (AnyView, codec.decode_view)],
    ids=["reply", "query", "view"],
)
@given(data=st.data())
@examples
def test_every_answer_survives_the_round_trip(union: Any, decode: Any, data: st.DataObject) -> None:
    answer = data.draw(values(data.draw(st.sampled_from(structs(union)))))

    assert decode(codec.encode(answer)) == answer


@given(st.lists(st.sampled_from(structs(AnyEvent)).flatmap(values), max_size=3).map(tuple))
@examples
def test_every_sequence_of_events_survives_the_round_trip(events: tuple[Any, ...]) -> None:
    assert codec.decode_events(codec.encode(events)) == events


def test_what_the_engine_says_survives_the_round_trip() -> None:
    for seed in range(20):
        *_, (comparison, _) = tell(Seeded(seed), 100)

        for _, _, outcome, _ in comparison.entries:
            if outcome is not None:
                assert codec.decode_events(codec.encode(outcome.events)) == outcome.events


ORDER = {
    "type": "PlaceOrder",
    "request_id": "r1",
    "account": 1,
    "symbol": "BTCUSDT",
    "side": "buy",
    "quantity_units": 5,
    "leverage": 10,
}
ORDER_CHANGES = [
    {"quantity_units": True},
    {"quantity_units": 5.0},
    {"quantity_units": 5.5},
    {"quantity_units": "5"},
    {"quantity_units": None},
    {"quantity_units": 0},
    {"quantity_units": -1},
    {"quantity_units": SAFE_INTEGER_MAX + 1},
    {"stop_loss_ticks": 0},
    {"stop_loss_ticks": 10**30},
    {"leverage": False},
    {"account": 0},
    {"account": 2**40},
    {"request_id": ""},
    {"request_id": "x" * 65},
    {"side": "BUY"},
    {"symbol": ""},
    {"unknown": 1},
    {"type": "NoSuchCommand"},
]


def wire(**changes: Any) -> bytes:
    return json.dumps(ORDER | changes).encode()


def test_the_plain_order_is_understood() -> None:
    message = codec.decode_message(wire(quantity_units=SAFE_INTEGER_MAX))

    assert isinstance(message, c.PlaceOrder)
    assert message.quantity_units == SAFE_INTEGER_MAX


@pytest.mark.parametrize("change", ORDER_CHANGES, ids=str)
def test_what_is_not_exactly_a_message_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(codec.MalformedError):
        codec.decode_message(wire(**change))


@pytest.mark.parametrize(
    "missing", ["type", "request_id", "account", "symbol", "side", "quantity_units"]
)
def test_a_missing_field_is_malformed(missing: str) -> None:
    raw = json.dumps({name: value for name, value in ORDER.items() if name != missing}).encode()

    with pytest.raises(codec.MalformedError):
        codec.decode_message(raw)


BYTES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"1",
    b"\xff\xfe",
    wire() + b"{}",
    b'{"type":1}',
    b'{"type":"Tick","unknown":1}',
    b'{"type":"UpdateQuotes","source":"x","source_class":"live","feed_epoch":1,"sequence":1,"quotes":[],"unknown":1}',
    # Errors that the decoder does not call its own: bad UTF-8, half a surrogate pair, bottomless nesting.
    b'{"type":"\xff"}',
    b'{"type":"CancelOrder","request_id":"\xed\xa0\x80","account":1,"order_id":"1-1"}',
    b'{"type":"CancelOrder","request_id":"\\ud800","account":1,"order_id":"1-1"}',
    b'{"type":"Tick","a":' + b"[" * 100_000,
]


@pytest.mark.parametrize("raw", BYTES, ids=range(len(BYTES)))
def test_bytes_that_are_no_message_are_malformed(raw: bytes) -> None:
    with pytest.raises(codec.MalformedError):
        codec.decode_message(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(raw: bytes) -> None:
    try:
        message = codec.decode_message(raw)
    except codec.MalformedError:
        return
    assert isinstance(message, tuple(MESSAGES))


def test_a_price_beyond_what_json_clients_read_exactly_is_refused_in_quotes_too() -> None:
    quote = ["BTCUSDT", 1, SAFE_INTEGER_MAX + 1, 0]
    entry = {
        "type": "UpdateQuotes",
        "source": "x",
        "source_class": "live",
        "feed_epoch": 1,
        "sequence": 1,
        "quotes": [quote],
    }

    with pytest.raises(codec.MalformedError):
        codec.decode_message(json.dumps(entry).encode())


@pytest.mark.parametrize(
    "changes",
    [{"deadline_us": 9}, {"quoted_price_ticks": 7}, {"deadline_us": 1, "quoted_price_ticks": 2}],
)
def test_what_the_gateway_adds_leaves_the_digest_as_it_is(changes: dict[str, int]) -> None:
    order = codec.decode_message(wire())

    assert codec.content_digest(msgspec.structs.replace(order, **changes)) == codec.content_digest(
        order
    )


def test_digests_tell_contents_apart() -> None:
    order = codec.decode_message(wire())
    changed = [
        msgspec.structs.replace(order, **{n: v}) for n, v in (("leverage", 11), ("reason", "x"))
    ]
    close = c.ClosePosition(account=1, request_id="r1", position_id="1-1", quoted_price_ticks=3)
    later = c.CancelOrder(account=1, request_id="r1", order_id="1-1", deadline_us=5)

    digests = [codec.content_digest(m) for m in (order, *changed, close, later)]

    assert len(set(digests)) == len(digests)
    assert all(len(digest) == 16 for digest in digests)
    assert codec.content_digest(msgspec.structs.replace(later, deadline_us=0)) == digests[-1]


def test_every_command_carries_a_digest() -> None:
    assert set(structs(AnyCommand)) < set(MESSAGES)
    define = c.DefineInstrument(
        source="s", request_id="r", spec=INSTRUMENTS[0], source_class="live"
    )

    assert codec.content_digest(define) != codec.content_digest(
        msgspec.structs.replace(define, after_account=1)
    )
