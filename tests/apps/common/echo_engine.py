"""A stand-in for the engine on a real Valkey: answers entries in order, as slowly or as wrongly as a test needs."""

import asyncio

from apps.common.gateway_wire import connection_make
from engine.messages import codec
from engine.messages.chain import CHAIN_GENESIS, chain_hash
from engine.messages.commands import AnyCommand, PlaceOrder
from engine.messages.output_entry import OUTPUT_FIELD, OutputEntry, pack
from engine.messages.rejects import RejectCode
from engine.messages.replies import Accepted, AnyReply, Duplicate, Rejected
from engine.messages.streams import input_stream, output_stream
from engine.values import Side, entry_id_from_text


def order(account: int, request_id: str, *, units: int = 10) -> PlaceOrder:
    """Return a command for it."""
    return PlaceOrder(
        request_id=request_id,
        account=account,
        user_id=1,
        symbol="BTCUSDT",
        side=Side.BUY,
        quantity_units=units,
        leverage=10,
    )


class EchoEngine:
    """Accepts every command once per request id; `created` names the account and the request id."""

    def __init__(self, url: str, prefix: str, *, shard: int = 0, shards: int = 1) -> None:
        self._url = url
        self._input = input_stream(prefix, shard, shards)
        self._output = output_stream(prefix, shard, shards)
        self._answers: dict[tuple[int, str], tuple[bytes, str]] = {}
        self._n = 0
        self._hash = CHAIN_GENESIS
        self.entries = 0
        # Cleared while the engine is to be silent.
        self.running = asyncio.Event()
        self.running.set()

    async def run(self) -> None:
        """Answer until cancelled."""
        connection = connection_make(self._url)
        last = b"0-0"
        try:
            while True:
                await self.running.wait()
                await connection.send_command(
                    "XREAD", "COUNT", 500, "BLOCK", 200, "STREAMS", self._input, last
                )
                for _, entries in await connection.read_response(disable_decoding=True) or ():
                    await self.running.wait()
                    last = entries[-1][0]
                    await self._publish(connection, entries)
        finally:
            await connection.disconnect(nowait=True)

    async def _publish(self, connection, entries) -> None:
        commands = [self._entry(entry_id, fields) for entry_id, fields in entries]
        await connection.send_packed_command(connection.pack_commands(commands))
        for _ in commands:
            await connection.read_response(disable_decoding=True)

    def _entry(self, entry_id: bytes, fields: list[bytes]) -> tuple[object, ...]:
        values = dict(zip(fields[::2], fields[1::2], strict=True))
        command = codec.decode_message(values[b"m"])
        account = getattr(command, "account", 0)
        reply = codec.encode(self._reply(account, command, entry_id.decode()))
        self.entries += 1
        self._n += 1
        self._hash = chain_hash(
            self._hash,
            entry_id_from_text(entry_id.decode()),
            number=self._n,
            account=account,
            request_id=command.request_id,
            reply=reply,
            events=b"[]",
            command=values[b"m"],
            decided_at_us=1,
        )
        entry = OutputEntry(
            version=codec.WIRE_VERSION,
            number=self._n,
            gateway=values[b"g"],
            account=account,
            request_id=command.request_id,
            reply=reply,
            events=b"[]",
            command=values[b"m"],
            decided_at_us=1,
            epoch=1,
            build="echo",
            chain=self._hash,
        )
        return ("XADD", self._output, entry_id, OUTPUT_FIELD, pack(entry))

    def _reply(self, account: int, command: AnyCommand, entry_id: str) -> AnyReply:
        digest = codec.content_digest(command)
        first = self._answers.setdefault((account, command.request_id), (digest, entry_id))
        if first[1] == entry_id:
            return Accepted(created=(f"{account}-{command.request_id}",))
        if first[0] == digest:
            return Duplicate(output_id=first[1])
        return Rejected(code=RejectCode.EXISTS_WITH_DIFFERENT_CONTENT)
