"""Tells what became of a request: the answer that it got, or would have got if it had been heard."""

import asyncio
from typing import Any, Final

from channels.db import database_sync_to_async

from apps.common.clock import datetime_from_us, now_us
from apps.common.engine_gateway import engine_gateway
from apps.common.envelope import service_failure
from apps.common.errors import EngineBusyError, ServiceError
from apps.common.outputs import Output
from apps.profile.facade import AccountInfo, accounts_of_user_async
from apps.trade import selectors
from apps.trade.services.answers import answer_of, has_answer
from apps.trade.services.lookup import order_symbol
from apps.trade.services.projection.journal import output_of
from apps.trade.services.shapes import Shape
from engine.messages import codec
from engine.messages.replies import Duplicate
from engine.values import entry_id_from_text

# How long an answer waits for the projector to reach what the engine has published before the question.
_WAIT_S: Final = 1.0
_POLL_S: Final = 0.01
# As long as the engine remembers the ids of requests (rule E3).
_REMEMBERED_US: Final = 24 * 3600 * 1_000_000

_projected_until = database_sync_to_async(selectors.projected_until, thread_sensitive=False)


async def request_outcome(*, account: AccountInfo, request_id: str) -> Shape:
    """Return what became of a request of an account: pending, accepted with its answer, or refused with its error.

    Errors: ServiceError REQUEST_UNKNOWN (404): until now nothing of it has reached the engine. A command expires at the
    engine after its time-out, so once that has passed it never will.
    """
    gateway = engine_gateway()
    if gateway.is_pending(account.id, request_id):
        return {"requestId": request_id, "accountId": account.id, "status": "pending"}
    output = await _output(account, request_id)
    if output is None:
        shard, last_id = await gateway.output_last(account.id)
        is_current = await _is_projected(shard, last_id)
        output = await _output(account, request_id)
        if output is None:
            raise ServiceError(
                "REQUEST_UNKNOWN",
                f"the engine has decided no request {request_id!r} of account {account.id}",
                http_status=404,
                data={"requestId": request_id, "isCurrent": is_current},
            )
    return await _decided(account, request_id, output)


async def account_of_request(*, default: AccountInfo, request_id: str) -> AccountInfo:
    """Return the account that a request without one means, whose user has changed the default account.

    It is the default one, unless the same request was sent to another account while that was the default: then it is repeated there,
    and not carried out a second time here.
    Errors: EngineBusyError while the history does not tell.
    """
    if now_us() - default.default_since_us > _REMEMBERED_US:
        return default
    for account in await accounts_of_user_async(default.user_id):
        if account.id != default.id and await _is_known(account, request_id):
            return account
    return default


async def _is_known(account: AccountInfo, request_id: str) -> bool:
    if not account.is_open:
        return False
    if engine_gateway().is_pending(account.id, request_id) or await _output(account, request_id):
        return True
    # Of outputs and not of the account's events: a refusal, or a closeAll of nothing, has no event.
    shard, last_id = await engine_gateway().output_last(account.id)
    if not await _is_projected(shard, last_id):
        raise EngineBusyError(
            "your default account has changed and the history does not tell yet whether account "
            f"{account.id} has had this request (a request that names its accountId need not wait for that)"
        )
    return await _output(account, request_id) is not None


async def _output(account: AccountInfo, request_id: str) -> Output | None:
    read = database_sync_to_async(selectors.journal_entry_by_request, thread_sensitive=False)
    entry = await read(account_id=account.id, request_id=request_id)
    return None if entry is None else output_of(entry)


async def _decided(account: AccountInfo, request_id: str, output: Output) -> Shape:
    command: Any = codec.decode_message(output.command_raw)
    shape: Shape = {
        "requestId": request_id,
        "accountId": account.id,
        "command": type(command).__name__,
        "decidedAt": datetime_from_us(output.decided_at_us),
        "asOf": output.output_id,
    }
    if not has_answer(command) or isinstance(output.reply, Duplicate):
        return shape | {"status": "accepted", "answer": None}
    order_id = getattr(command, "position_id", "") or getattr(command, "order_id", "")
    symbol = await _symbol(order_id)
    try:
        answer = answer_of(command, output, symbol=symbol)
    except ServiceError as error:
        return shape | {"status": "rejected", "error": service_failure(error)}
    return shape | {"status": "accepted", "answer": answer}


async def _symbol(order_id: str) -> str:
    return await order_symbol(order_id) if order_id else ""


async def _is_projected(shard: int, output_id: str) -> bool:
    deadline = asyncio.get_running_loop().time() + _WAIT_S
    while await _projected_until(shard=shard) < entry_id_from_text(output_id):
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True
