"""A web process's gateway under load, in a process of its own that is killed: ``python -m tests.chaos.sender <json>``.

Every account trades one command at a time, often sends it twice at once, and asks again until it knows the outcome.
A diary on the disk has every command before it is sent and every outcome that was told, so that the next process of
this sender resolves what this one left open.
"""

import asyncio
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from redis.exceptions import RedisError

from apps.common.engine_gateway import EngineGateway
from apps.common.errors import EngineBusyError, EngineTimeoutError
from engine.messages import codec
from engine.messages.commands import AnyAccountCommand, ClosePosition, PlaceOrder
from engine.messages.replies import Accepted
from engine.values import Side
from tests.integration.engine_process import REPOSITORY

SYMBOL = "BTCUSDT"


def start(options: dict[str, Any], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start such a process; the environment names the servers, as for every part of the platform."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.sender", json.dumps(options)],
        cwd=REPOSITORY,
        env=environment,
    )


class Diary:
    """What was sent and what was told, one JSON line each; a torn last line was never relied on."""

    def __init__(self, path: Path) -> None:
        self.sent: dict[tuple[int, str], AnyAccountCommand] = {}
        self.told: dict[tuple[int, str], str] = {}
        self.positions: dict[int, str] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                self._note(json.loads(line))
            except json.JSONDecodeError:
                continue
        self._path = path

    def _note(self, line: dict[str, Any]) -> None:
        key = (line["account"], line["request_id"])
        if "output_id" in line:
            self.told[key] = line["output_id"]
            if line["position"] is not None:
                self.positions[key[0]] = line["position"]
        else:
            self.sent[key] = codec.decode_message(line["command"].encode())

    def open_commands(self) -> dict[int, AnyAccountCommand]:
        return {key[0]: command for key, command in self.sent.items() if key not in self.told}

    def count(self, account: int) -> int:
        return sum(key[0] == account for key in self.sent)

    def send(self, command: AnyAccountCommand) -> None:
        self.sent[command.account, command.request_id] = command
        self._write(command, command=codec.encode(command).decode())

    def tell(self, command: AnyAccountCommand, output_id: str, position: str | None) -> None:
        self.told[command.account, command.request_id] = output_id
        if position is not None:
            self.positions[command.account] = position
        self._write(command, output_id=output_id, position=position)

    def _write(self, of: AnyAccountCommand, **fields: object) -> None:
        line = {"account": of.account, "request_id": of.request_id} | fields
        # One write a line, and a line end before it: a torn line must not swallow the next one.
        with self._path.open("a") as file:
            file.write("\n" + json.dumps(line) + "\n")


async def resolve(
    gateway: EngineGateway, chooser: random.Random, command: AnyAccountCommand
) -> Any:
    """Send until the outcome is known, now and then twice at once, as a double click does."""
    while True:
        clicks = 2 if chooser.randrange(5) == 0 else 1
        answers = await asyncio.gather(
            *(gateway.send(command) for _ in range(clicks)), return_exceptions=True
        )
        for answer in answers:
            if not isinstance(answer, BaseException):
                return answer
            if not isinstance(answer, EngineTimeoutError | EngineBusyError):
                raise answer
        await asyncio.sleep(0.02)


def next_command(account: int, number: int, position: str) -> AnyAccountCommand:
    request_id = f"order-{number}"
    if position:
        return ClosePosition(
            request_id=request_id, user_id=account, account=account, position_id=position
        )
    return PlaceOrder(
        request_id=request_id,
        user_id=account,
        account=account,
        symbol=SYMBOL,
        side=Side.BUY,
        quantity_units=1,
        leverage=10,
    )


async def trade(
    gateway: EngineGateway, diary: Diary, account: int, seed: int, *, is_last: bool
) -> None:
    chooser = random.Random(seed)  # noqa: S311 - repeatable, not secret.
    command = diary.open_commands().get(account)
    number = diary.count(account)
    while True:
        if command is None:
            if is_last:
                return
            number += 1
            command = next_command(account, number, diary.positions.get(account, ""))
            diary.send(command)
        output = await resolve(gateway, chooser, command)
        position = None
        if isinstance(output.reply, Accepted):
            is_open = isinstance(command, PlaceOrder)
            position = output.reply.created[0] if is_open else ""
        diary.tell(command, output.output_id, position)
        if chooser.randrange(10) == 0:
            # Long after the answer the same request comes again, as from a reloaded page.
            again = await resolve(gateway, chooser, command)
            if again.output_id != output.output_id:
                raise AssertionError(f"{command} was answered by {output} and by {again}")
        command = None
        await asyncio.sleep(chooser.random() * 0.05)


async def main(options: dict[str, Any]) -> None:
    # Models can be imported when Django stands only; nobody else who imports this module needs it.
    from apps.trade.projector import output_from_journal

    gateway = EngineGateway(
        log_url=settings.LOG_REDIS_URL,
        redis_url=settings.REDIS_URL,
        prefix=settings.STREAM_PREFIX,
        timeout_ms=1_000,
        # In half an hour the stream is trimmed of what is asked for again.
        journal=output_from_journal,
    )
    while True:
        try:
            await gateway.start()
        except (OSError, RedisError):
            await asyncio.sleep(0.1)
        else:
            break
    diary = Diary(Path(options["diary"]))
    traders = [
        trade(gateway, diary, account, options["seed"] + account, is_last=options["is_last"])
        for account in options["accounts"]
    ]
    await asyncio.gather(*traders)
    await gateway.stop()


if __name__ == "__main__":
    django.setup()
    asyncio.run(main(json.loads(sys.argv[1])))
