"""Questions to the engine outside the log: asked by pub/sub, asked again when lost, nothing is kept."""

import asyncio

import msgspec

from apps.common.errors import EngineBusyError, EngineQueryRefusedError
from apps.common.gateway_wire import ChannelListener, CommandWriter
from engine.messages import codec
from engine.messages.streams import (
    AnswerEnvelope,
    QueryEnvelope,
    answer_channel,
    query_channel,
    shard_of,
)
from engine.messages.views import AccountQuery, AnyQuery, AnyView

# A question that was not answered by then is asked again.
_ASK_AGAIN_S = 0.25

_answer_decoder = msgspec.json.Decoder(AnswerEnvelope)


class EngineQueries:
    """Brings every answer to its asker."""

    def __init__(
        self, url: str, *, gateway_id: str, prefix: str, shards: int, timeout_ms: int
    ) -> None:
        self._gateway_id = gateway_id
        self._prefix = prefix
        self._shards = shards
        self._attempts = max(1, round(timeout_ms / 1000 / _ASK_AGAIN_S))
        self._count = 0
        self._waiting: dict[int, asyncio.Future[AnyView]] = {}
        self.writer = CommandWriter(url, "gateway-asker")
        self.listener = ChannelListener(url, answer_channel(prefix, gateway_id), self._on_answer)

    async def ask(self, query: AnyQuery, *, after: str) -> AnyView:
        """Ask; `after` is an output id that the answer must include, empty for the state as it is.

        Errors: EngineBusyError when nobody answers, EngineQueryRefusedError when the engine cannot.
        """
        account = query.account if isinstance(query, AccountQuery) else query.order.account
        self._count += 1
        query_id = self._count
        envelope = QueryEnvelope(
            gateway=self._gateway_id,
            query_id=query_id,
            after=after,
            query=msgspec.Raw(codec.encode(query)),
        )
        channel = query_channel(self._prefix, shard_of(account, self._shards))
        parts = (b"PUBLISH", channel.encode(), codec.encode(envelope))
        future: asyncio.Future[AnyView] = asyncio.get_running_loop().create_future()
        self._waiting[query_id] = future
        try:
            for _ in range(self._attempts):
                # Refused or lost makes no difference: the next attempt asks again.
                self.writer.submit(parts, lambda _reason: None)
                done, _ = await asyncio.wait([future], timeout=_ASK_AGAIN_S)
                if done:
                    return future.result()
        finally:
            del self._waiting[query_id]
        raise EngineBusyError("the engine does not answer questions")

    def _on_answer(self, raw: bytes) -> None:
        answer = _answer_decoder.decode(raw)
        future = self._waiting.get(answer.query_id)
        # What was asked twice is answered twice.
        if future is None or future.done():
            return
        if answer.refusal is not None:
            future.set_exception(EngineQueryRefusedError(answer.refusal, answer.reason))
        else:
            future.set_result(codec.decode_view(bytes(answer.view)))
