"""Names on the wire: a contract with logs that exist, spelled out once more."""

import pytest

from engine.messages import streams
from engine.messages.chain import CHAIN_GENESIS, chain_hash

BODY = {
    "number": 1,
    "account": 1001,
    "request_id": "r1",
    "reply": b'{"type":"Accepted"}',
    "events": b"[]",
    "command": b"{}",
    "decided_at_us": 5,
}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (streams.input_stream(""), "stream:exness"),
        (streams.output_stream(""), "stream:exnessReceive"),
        (streams.input_stream("t:", 2, 4), "t:stream:exness:{2}"),
        (streams.output_stream("t:", 2, 4), "t:stream:exnessReceive:{2}"),
        (streams.checkpoint_key("t:"), "t:engine:{0}:checkpoint"),
        (streams.epoch_key("", 3), "engine:{3}:epoch"),
        (streams.lease_key(""), "engine:{0}:lease"),
        (streams.snapshots_key(""), "engine:{0}:snapshots"),
        (streams.consumers_key(""), "engine:{0}:consumers"),
        (streams.health_key(""), "engine:{0}:health"),
        (streams.feed_lease_key("t:"), "t:feed:lease"),
        (streams.feed_epoch_key(""), "feed:epoch"),
        (streams.feed_status_key(""), "feed:status"),
        (streams.query_channel("t:", 1), "t:exness:query:1"),
        (streams.answer_channel("", "g7"), "exness:answer:g7"),
        (streams.prices_channel("t:"), "t:prices"),
    ],
)
def test_names_are_those_of_the_logs_that_exist(found: str, expected: str) -> None:
    assert found == expected


def test_accounts_keep_their_shard() -> None:
    # CRC-32 of the decimal text; a change would send accounts to shards that do not know them.
    found = [streams.shard_of(account, 4) for account in (1, 2, 3, 1001, 2**40 - 1)]

    assert found == [3, 1, 3, 1, 3]
    assert streams.shard_of(12345, 1) == 0


def test_the_chain_hash_stands_for_every_part_of_the_body() -> None:
    changes = [
        {"number": 2},
        {"account": 1002},
        {"request_id": "r2"},
        {"reply": b""},
        {"events": b"[1]"},
        {"command": b""},
        {"decided_at_us": 6},
        # The same bytes in other fields.
        {"reply": b"", "events": BODY["reply"] + BODY["events"]},
    ]

    hashes = {chain_hash(CHAIN_GENESIS, 7, **(BODY | change)) for change in [{}, *changes]}
    hashes |= {chain_hash(CHAIN_GENESIS, 8, **BODY), chain_hash(b"\x01" * 32, 7, **BODY)}

    assert len(hashes) == len(changes) + 3
    assert chain_hash(CHAIN_GENESIS, 7, **BODY) == chain_hash(CHAIN_GENESIS, 7, **BODY)
