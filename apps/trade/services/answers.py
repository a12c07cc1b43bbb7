"""What a command brought, as the contract answers it: a function of the command and the output that decided it.

So a request that is asked again, or looked up by its id, gets the very answer that it got at first.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from apps.common.engine_gateway import engine_gateway
from apps.common.errors import ServiceError
from apps.common.money import number_from_micros
from apps.common.outputs import Output
from apps.common.refusals import Decimals, refusal_error
from apps.market import facade as market
from apps.trade.services import numbers
from apps.trade.services.shapes import (
    Shape,
    closed_shape,
    modified_terms,
    opened_shape,
    placed_shape,
)
from engine.messages import commands as cmd
from engine.messages import events as ev
from engine.messages.commands import AnyCommand
from engine.messages.replies import Accepted, Rejected

E = TypeVar("E")

# Builds the data of an answer: the command, its output, and the symbol that it is about where it names none itself.
Builder = Callable[[Any, Output, str], Shape]


async def command_answer(command: AnyCommand, *, symbol: str = "") -> Shape:
    """Send a command and return its answer; the same request id returns the same answer.

    `symbol` is the instrument of the order that the command names; empty where that is not known.
    Errors: ServiceError with the engine's refusal; EngineTimeoutError (408), the outcome is unknown and the same id asks
    again; EngineBusyError (503), nothing was sent.
    """
    output = await engine_gateway().send(command)
    return answer_of(command, output, symbol=symbol)


def answer_of(command: AnyCommand, output: Output, *, symbol: str = "") -> Shape:
    """Return the answer that an output means for the command which it decided.

    Errors: ServiceError for a refusal.
    """
    symbol = getattr(command, "symbol", None) or symbol
    reply = output.reply
    if type(reply) is Rejected:
        raise refusal_error(reply, request_id=command.request_id, decimals=_decimals_of(symbol))
    message, build = _BUILDERS[type(command)]
    return {
        "message": message,
        "requestId": command.request_id,
        **build(command, output, symbol),
    }


def has_answer(command: object) -> bool:
    """Return whether a command is one that clients send."""
    return type(command) in _BUILDERS


def _decimals_of(symbol: str) -> Decimals | None:
    instrument = market.instruments_by_symbol().get(symbol)
    return None if instrument is None else numbers.decimals_of(instrument)


def _first(kind: type[E], output: Output, entity_id: str) -> E:
    for event in output.events:
        if type(event) is kind and entity_id in (
            getattr(event, "position_id", None),
            getattr(event, "order_id", None),
        ):
            return event
    # Only a foreign command under the same id could have such an answer, and other content is refused.
    raise ServiceError("INTERNAL", "the command was accepted without its outcome", http_status=500)


def _created(output: Output) -> str:
    reply = output.reply
    return reply.created[0] if type(reply) is Accepted and reply.created else ""


def _closed(output: Output, position_ids: Iterable[str]) -> list[ev.PositionClosed]:
    wanted = set(position_ids)
    return [
        e for e in output.events if isinstance(e, ev.PositionClosed) and e.position_id in wanted
    ]


def _placed_or_filled(_command: cmd.PlaceOrder, output: Output, _symbol: str) -> Shape:
    order_id = _created(output)
    for event in output.events:
        if type(event) is ev.OrderPlaced and event.order_id == order_id:
            return {"orderId": order_id, **placed_shape(event, output)}
    opened = _first(ev.PositionOpened, output, order_id)
    return {"orderId": order_id, **opened_shape(opened, output)}


def _position_closed(command: cmd.ClosePosition, output: Output, _symbol: str) -> Shape:
    closed = _first(ev.PositionClosed, output, command.position_id)
    return {"order": closed_shape(closed, output)}


def _order_modified(command: cmd.ModifyOrder, output: Output, symbol: str) -> Shape:
    order: Shape = {
        "orderId": command.order_id,
        "accountId": command.account,
        "symbol": symbol,
        "status": "pending",
        "isChanged": bool(output.events),
    }
    for event in output.events:
        if isinstance(event, ev.OrderModified):
            order |= modified_terms(symbol, event)
        elif isinstance(event, ev.PositionOpened) and event.position_id == command.order_id:
            order |= opened_shape(event, output)
    return {"order": order, "asOf": output.output_id}


def _position_modified(command: cmd.ModifyPosition, output: Output, symbol: str) -> Shape:
    order: Shape = {
        "orderId": command.position_id,
        "accountId": command.account,
        "symbol": symbol,
        "status": "filled",
        "isChanged": bool(output.events),
    }
    for event in output.events:
        if isinstance(event, ev.PositionModified):
            instrument = market.instrument_get(symbol)
            order |= {
                "stopLoss": numbers.price_number(instrument, event.stop_loss_ticks),
                "takeProfit": numbers.price_number(instrument, event.take_profit_ticks),
                "trailingDistance": numbers.price_number(instrument, event.trailing_ticks),
            }
    return {"order": order, "asOf": output.output_id}


def _order_cancelled(command: cmd.CancelOrder, output: Output, symbol: str) -> Shape:
    event = _first(ev.OrderCancelled, output, command.order_id)
    return {
        "order": {
            "orderId": command.order_id,
            "accountId": command.account,
            "symbol": symbol,
            "status": "cancelled",
            "cancelReason": event.cancel_reason.value,
        },
        "asOf": output.output_id,
    }


def _all_cancelled(command: cmd.CancelAll, output: Output, _symbol: str) -> Shape:
    cancelled = [e.order_id for e in output.events if isinstance(e, ev.OrderCancelled)]
    return {
        "accountId": command.account,
        "orderIds": cancelled,
        "count": len(cancelled),
        "asOf": output.output_id,
    }


def _all_closed(command: cmd.CloseAll, output: Output, _symbol: str) -> Shape:
    reply = output.reply
    # A stop-out in the same entry may close more; those were not asked for.
    closed = [
        e
        for e in output.events
        if isinstance(e, ev.PositionClosed) and e.receipt.rule == _RULE_CLOSE_ALL
    ]
    return {
        "accountId": command.account,
        "orders": [closed_shape(e, output) for e in closed],
        "count": len(closed),
        "passedOver": list(reply.passed_over) if isinstance(reply, Accepted) else [],
        "asOf": output.output_id,
    }


def _closed_by(command: cmd.CloseBy, output: Output, _symbol: str) -> Shape:
    closed = _closed(output, (command.position_id, command.other_position_id))
    return {
        "accountId": command.account,
        "orders": [closed_shape(e, output) for e in closed],
        "asOf": output.output_id,
    }


def _reversed(command: cmd.ReversePosition, output: Output, _symbol: str) -> Shape:
    closed = _first(ev.PositionClosed, output, command.position_id)
    order_id = _created(output)
    opened = _first(ev.PositionOpened, output, order_id)
    return {
        "orderId": order_id,
        "closed": closed_shape(closed, output),
        "opened": {"orderId": order_id, **opened_shape(opened, output)},
        "asOf": output.output_id,
    }


def _margin_moved(command: cmd.AddMargin | cmd.RemoveMargin, output: Output, symbol: str) -> Shape:
    event = _first(ev.PositionMarginChanged, output, command.position_id)
    instrument = market.instrument_get(symbol)
    return {
        "order": {
            "orderId": command.position_id,
            "accountId": command.account,
            "symbol": symbol,
            "amount": number_from_micros(event.amount_micros),
            "margin": number_from_micros(event.margin_micros),
            "liquidationPrice": numbers.price_number(instrument, event.liquidation_ticks),
        },
        "asOf": output.output_id,
    }


# The rule of docs/ENGINE.md by which a CloseAll closes.
_RULE_CLOSE_ALL: Final = "C2"
_BUILDERS: Final[dict[type[Any], tuple[str, Builder]]] = {
    cmd.PlaceOrder: ("Order created successfully", _placed_or_filled),
    cmd.ClosePosition: ("Order closed successfully", _position_closed),
    cmd.ModifyOrder: ("Order modified successfully", _order_modified),
    cmd.ModifyPosition: ("Order modified successfully", _position_modified),
    cmd.CancelOrder: ("Order cancelled successfully", _order_cancelled),
    cmd.CancelAll: ("Orders cancelled successfully", _all_cancelled),
    cmd.CloseAll: ("Orders closed successfully", _all_closed),
    cmd.CloseBy: ("Orders closed successfully", _closed_by),
    cmd.ReversePosition: ("Order reversed successfully", _reversed),
    cmd.AddMargin: ("Margin changed successfully", _margin_moved),
    cmd.RemoveMargin: ("Margin changed successfully", _margin_moved),
}
