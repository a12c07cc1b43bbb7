"""docs/asyncapi.yaml tells the truth: its examples fit its schemas, and so does what the socket really says."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from apps.trade.consumers.socket import _HANDLERS
from apps.trade.operations import OPERATIONS
from tests.apps.trade.test_socket import SELL, Wire, alice, on_wire, signed_in

__all__ = ["alice", "on_wire"]

DOCUMENT = yaml.safe_load(
    (Path(__file__).resolve().parents[3] / "docs" / "asyncapi.yaml").read_text()
)
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
EXAMPLES = [
    (name, example["payload"])
    for name, message in MESSAGES.items()
    for example in message["examples"]
]


def validator(name: str) -> Draft202012Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return Draft202012Validator(schema)


@pytest.mark.parametrize(("name", "payload"), EXAMPLES)
def test_every_example_fits_its_schema(name, payload):
    assert [error.message for error in validator(name).iter_errors(payload)] == []


def test_every_operation_of_the_socket_is_described():
    described = {payload["op"] for _, payload in EXAMPLES if "op" in payload}

    assert described == set(_HANDLERS)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.op)
def test_the_fields_of_an_operation_are_those_of_rest(operation):
    (schema,) = [
        schema
        for schema in DOCUMENT["components"]["schemas"].values()
        if schema.get("properties", {}).get("op") == {"const": operation.op}
    ]
    fields = operation.shape().fields

    assert set(schema["properties"]) == {"op", "id", *fields}
    assert set(schema["required"]) == {"op", *(n for n, f in fields.items() if f.required)}


@pytest.mark.integration
def test_what_the_socket_says_is_what_is_described(on_wire, alice, settings):
    settings.SOCKET_MESSAGES_PER_SECOND = 1000
    _, account, token = alice

    async def talk(wire: Wire) -> list[dict[str, Any]]:
        await signed_in(wire, token)
        wire.say({"op": "subscribe", "channels": [f"account:{account.id}"]})
        wire.say(SELL | {"id": "a"})
        wire.say(SELL | {"id": "b", "leverage": 1000, "clientOrderId": "x"})
        frames = [await wire.hear() for _ in range(5)]
        wire.say({"op": "order.close", "orderId": f"{account.id}-1"})
        wire.say({"op": "ping", "t": 1})
        wire.say({"op": "nope"})
        wire.say({"op": 5, "id": True})
        wire.say({"op": "x" * 65, "id": "y" * 65})
        return frames + [await wire.hear() for _ in range(6)]

    frames = on_wire(talk)

    faults = [
        (frame, error.message)
        for frame in frames
        for error in validator(frame["ch"]).iter_errors(plain(frame))
    ]
    assert faults == []
    assert {frame["ch"] for frame in frames} == {"account", "reply", "pong"}


def plain(value: Any) -> Any:
    # The validator's numbers are int and float; exactness is checked elsewhere.
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value if isinstance(value, str | int | None) else float(value)
