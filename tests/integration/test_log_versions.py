"""An upgrade in the middle of a log: what the release before has written is recovered, and its senders are still heard."""

import secrets
from pathlib import Path

import pytest

from engine.messages import codec, streams
from engine.messages.replies import Accepted
from engine.values import text_from_entry_id
from tests.contract.golden_log import FOLDER, GoldenLog, read
from tests.integration.engine_log import LogHand, deposit, engine_config, running

pytestmark = pytest.mark.integration

PREVIOUS = FOLDER / "release-0.1-v1.jsonl"


def write(hand: LogHand, log: GoldenLog) -> None:
    """Write a golden log to the server, as the engine of its release left it."""
    version = str(log.head["wire_version"])
    pipeline = hand.redis.pipeline()
    count = number = 0
    for entry, output, decided_at_us in log.entries:
        entry_id = text_from_entry_id(entry.entry_id)
        count += 1
        pipeline.xadd(
            hand.input,
            {
                streams.IN_VERSION: entry.version,
                streams.IN_MESSAGE: entry.message,
                streams.IN_GATEWAY: b"",
            },
            id=entry_id,
        )
        if output is None:
            continue
        number = output.number
        pipeline.xadd(
            hand.output,
            {
                b"v": version,
                b"n": output.number,
                b"g": b"",
                b"acc": output.account,
                b"rid": output.request_id,
                b"reply": output.reply,
                b"events": output.events,
                b"cmd": output.command,
                b"at": decided_at_us,
                b"ep": output.epoch,
                b"build": output.build,
                b"h": output.chain,
            },
            id=entry_id,
        )
    pipeline.hset(
        hand.checkpoint,
        mapping={
            streams.CHECKPOINT_IN: entry_id,
            streams.CHECKPOINT_NUMBER: number,
            streams.CHECKPOINT_HASH: bytes.fromhex(log.foot["chain"]),
            streams.CHECKPOINT_COUNT: count,
            streams.CHECKPOINT_EPOCH: 1,
            streams.CHECKPOINT_BUILD: "golden",
        },
    )
    pipeline.execute()


def test_a_log_of_the_previous_message_version_is_recovered_and_goes_on(
    log_redis_url: str, redis_url: str, tmp_path: Path
) -> None:
    config = engine_config(f"t{secrets.token_hex(6)}:", log_redis_url, redis_url, tmp_path)
    hand = LogHand(config)
    log = read(PREVIOUS)[0]
    write(hand, log)
    # A gateway that is not upgraded yet has sent it, and the engine had not seen it.
    seqs = {
        event.account: event.cash_seq
        for _, output, _ in log.entries
        if output is not None
        for event in codec.decode_events(output.events)
        if hasattr(event, "cash_seq")
    }
    account, cash_seq = next(iter(seqs.items()))
    waiting = hand.redis.xadd(
        hand.input,
        {
            streams.IN_VERSION: "1",
            streams.IN_MESSAGE: codec.encode(deposit(account, cash_seq + 1)),
            streams.IN_GATEWAY: b"old",
        },
    ).decode()

    with running(config):
        old = codec.decode_reply(hand.output_at(waiting).reply)
        new = hand.reply_to(deposit(account, cash_seq + 2))

    assert (old, new) == (Accepted(), Accepted())
    assert hand.output_at(waiting).version == codec.WIRE_VERSION
