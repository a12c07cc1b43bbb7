"""The log on a real Valkey: one output per entry under the entry's id, one writer, no gaps."""

import json
import threading
from dataclasses import replace

import msgspec
import pytest
from redis import Redis

from engine.adapters.compose import build_runner
from engine.config import EngineConfig
from engine.messages import codec, streams
from engine.messages.chain import CHAIN_GENESIS, chain_hash
from engine.messages.commands import SkipEntry, Tick
from engine.messages.events import CashPosted, EntrySkipped
from engine.messages.rejects import RejectCode
from engine.messages.replies import Accepted, Duplicate
from engine.messages.views import AccountQuery, AccountView
from engine.runtime.errors import HaltCode, HaltError
from engine.values import Actor, entry_id_from_text
from tests.engine.simulation.tiny_machine import POISON_REASON, TinyMachines
from tests.integration.engine_log import (
    LogHand,
    deposit,
    engine_config,
    open_demo,
    running,
    wait_for,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def config(stream_prefix, log_redis_url, redis_url, tmp_path) -> EngineConfig:
    return engine_config(stream_prefix, log_redis_url, redis_url, tmp_path)


@pytest.fixture
def hand(config) -> LogHand:
    return LogHand(config)


def test_every_command_gets_one_output_under_its_own_id(config, hand) -> None:
    messages = [*open_demo(7), b"not a message", deposit(7, 2), open_demo(7)[1]]
    with running(config):
        sent = [hand.append(message) for message in messages]
        hand.output_at(sent[-1])

    outputs = hand.outputs()
    assert [entry_id for entry_id, _ in outputs] == sent
    replies = [codec.decode_reply(fields.reply) for _, fields in outputs]
    assert [type(reply) for reply in replies[:3]] == [Accepted] * 3
    assert replies[3].code is RejectCode.MALFORMED
    assert replies[5] == Duplicate(output_id=sent[1])
    assert {fields.gateway for _, fields in outputs} == {b"g1"}
    assert outputs[3][1].command == b"not a message"


def test_outputs_are_numbered_and_chained(config, hand) -> None:
    with running(config):
        for message in [*open_demo(7), b"?", deposit(7, 2)]:
            last = hand.append(message)
        hand.output_at(last)

    chain = CHAIN_GENESIS
    for number, (entry_id, fields) in enumerate(hand.outputs(), start=1):
        assert fields.number == number
        chain = chain_hash(
            chain,
            entry_id_from_text(entry_id),
            number=number,
            account=fields.account,
            request_id=fields.request_id,
            reply=fields.reply,
            events=fields.events,
            command=fields.command,
            decided_at_us=fields.decided_at_us,
        )
        assert fields.chain == chain
    assert hand.position()[streams.CHECKPOINT_HASH] == chain


def test_time_passes_in_a_quiet_log_and_moves_the_checkpoint_without_outputs(config, hand) -> None:
    with running(config):
        wait_for(lambda: int(hand.position().get(b"count", 0)) >= 3, "three ticks")

    assert hand.outputs() == []
    messages = [codec.decode_message(fields[b"m"]) for _, fields in hand.redis.xrange(hand.input)]
    assert {type(message) for message in messages} == {Tick}


def test_a_burst_is_answered_completely_and_in_order(config, hand) -> None:
    with running(config):
        for message in open_demo(7):
            hand.reply_to(message)
        with hand.redis.pipeline(transaction=False) as pipeline:
            for cash_seq in range(2, 3_002):
                raw = codec.encode(deposit(7, cash_seq, 1))
                pipeline.xadd(hand.input, {b"v": 1, b"m": raw, b"g": b"g1"})
            sent = [entry_id.decode() for entry_id in pipeline.execute()]
        hand.output_at(sent[-1])

    outputs = hand.outputs()[3:]
    assert [entry_id for entry_id, _ in outputs] == sent
    events = codec.decode_events(outputs[-1][1].events)
    assert isinstance(events[0], CashPosted)
    assert events[0].balance_micros == 1_000_000_000 + 3_000


def test_a_restart_goes_on_where_the_last_engine_stopped(config, hand) -> None:
    with running(config):
        for message in open_demo(7):
            hand.reply_to(message)
    while_away = hand.append(deposit(7, 2, 5))
    with running(config):
        output = hand.output_at(while_away)

    assert codec.decode_events(output.events)[0].balance_micros == 1_000_000_005
    assert [fields.number for _, fields in hand.outputs()] == [1, 2, 3, 4]
    assert {fields.epoch for _, fields in hand.outputs()} == {1, 2}


def test_a_second_engine_refuses_to_start_beside_the_first(config, hand) -> None:
    impatient = engine_config(
        config.prefix,
        config.log_redis_url,
        config.redis_url,
        config.snapshot_dir,
        lease_wait_us=300_000,
    )
    with running(config):
        hand.reply_to(open_demo(7)[0])
        with pytest.raises(HaltError) as refused:
            build_runner(impatient).run()
        assert hand.reply_to(open_demo(7)[1]) == Accepted()

    assert refused.value.code is HaltCode.LEASE_HELD
    assert hand.redis.get(hand.epoch) == b"1"


def test_an_engine_whose_epoch_was_passed_publishes_no_more(config, hand) -> None:
    with running(config) as engine:
        hand.reply_to(open_demo(7)[0])
        hand.redis.incr(hand.epoch)
        before = hand.outputs()
        hand.append(open_demo(7)[1])
        error = engine.ended()

    assert isinstance(error, HaltError)
    assert error.code is HaltCode.FENCED
    assert hand.outputs() == before


def test_a_forgotten_script_is_loaded_again(config, hand) -> None:
    with running(config):
        hand.reply_to(open_demo(7)[0])
        hand.redis.script_flush()

        assert hand.reply_to(open_demo(7)[1]) == Accepted()


def test_a_lost_connection_is_no_lost_and_no_doubled_output(config, hand) -> None:
    with running(config):
        for message in open_demo(7):
            hand.reply_to(message)
        for cash_seq in range(2, 30):
            sent = hand.append(deposit(7, cash_seq, 1))
            hand.redis.client_kill_filter(_type="normal", skipme=True)
            hand.output_at(sent)

    numbers = [fields.number for _, fields in hand.outputs()]
    assert numbers == list(range(1, 32))


def test_an_engine_without_the_other_server_still_trades(config, hand, tmp_path) -> None:
    lonely = engine_config(
        config.prefix, config.log_redis_url, f"unix://{tmp_path}/absent.sock", tmp_path
    )
    with running(lonely):
        assert hand.reply_to(open_demo(7)[0]) == Accepted()


@pytest.mark.parametrize(
    ("remove", "left"),
    [
        # One that nobody has read yet: nothing but the count at the end of the stream tells.
        (lambda redis, stream, waiting: redis.xdel(stream, waiting), 1),
        # Everything, while more came than one batch takes: nothing of that batch may leave.
        (lambda redis, stream, _: redis.xtrim(stream, maxlen=0), 3),
        (lambda redis, stream, _: redis.delete(stream), 3),
    ],
)
def test_removed_entries_halt_the_engine_before_it_goes_on(config, hand, remove, left) -> None:
    # No tick comes between.
    with running(replace(config, batch_entries_max=2, heartbeat_us=60_000_000)) as engine:
        for message in open_demo(7):
            hand.reply_to(message)
        waiting = f"{int(hand.outputs()[-1][0].partition('-')[0]) + 60_000}-0"
        with hand.redis.pipeline(transaction=True) as pipeline:
            for cash_seq in range(2, 3 + left):
                raw = {b"v": 1, b"m": codec.encode(deposit(7, cash_seq)), b"g": b""}
                if cash_seq == 2:
                    pipeline.xadd(hand.input, raw, id=waiting)
                    remove(pipeline, hand.input, waiting)
                else:
                    pipeline.xadd(hand.input, raw)
            pipeline.execute()
        error = engine.ended()

    assert isinstance(error, HaltError)
    assert error.code is HaltCode.INPUT_GAP
    assert len(hand.outputs()) == 3


def test_a_wiped_log_halts_the_engine(config, hand) -> None:
    with running(config) as engine:
        for message in open_demo(7):
            hand.reply_to(message)
        hand.redis.delete(hand.input, hand.output, hand.checkpoint)
        error = engine.ended()

    assert isinstance(error, HaltError)
    assert error.code in {HaltCode.INPUT_GAP, HaltCode.LOG_REWOUND}


def test_an_entry_that_cannot_be_applied_halts_until_a_skip_entry_names_it(config, hand) -> None:
    poison = msgspec.structs.replace(deposit(7, 1), reason=POISON_REASON)
    with running(config, machines=TinyMachines()) as engine:
        bad = hand.append(poison)
        error = engine.ended()
    assert isinstance(error, HaltError)
    assert error.code is HaltCode.POISON
    assert bad in str(error)
    assert hand.outputs() == []
    with running(config, machines=TinyMachines()) as engine:
        assert isinstance(engine.ended(), HaltError)

    skip = hand.append(
        SkipEntry(request_id="skip-1", source="ops", actor=Actor.OPERATOR, entry_id=bad)
    )
    with running(config, machines=TinyMachines()):
        hand.output_at(skip)

    passed = codec.decode_events(hand.output_at(bad).events)
    assert passed == (EntrySkipped(entry_id=bad),)


def test_health_is_reported_while_the_engine_lives(config, hand) -> None:
    other = Redis.from_url(config.redis_url)
    key = streams.health_key(config.prefix)
    with running(config):
        hand.reply_to(open_demo(7)[0])
        report = wait_for(
            lambda: (raw := other.get(key)) and (found := json.loads(raw))["number"] and found,
            "a report of the first output",
        )
        assert 0 < other.pttl(key) <= 5_000
    last = json.loads(other.get(key))

    assert report["state"] == "live"
    assert report["epoch"] == 1
    assert last["state"] == "stopped"
    assert last["snapshot_id"]


def test_queries_are_answered_after_the_entry_that_they_name(config, hand) -> None:
    other = Redis.from_url(config.redis_url)
    heard = other.pubsub(ignore_subscribe_messages=True)
    heard.subscribe(streams.answer_channel(config.prefix, "g1"))

    def ask(query_id: int, after: str) -> None:
        envelope = streams.QueryEnvelope(
            gateway="g1",
            query_id=query_id,
            after=after,
            query=msgspec.Raw(codec.encode(AccountQuery(account=7))),
        )
        other.publish(streams.query_channel(config.prefix), codec.encode(envelope))

    with running(config):
        for message in open_demo(7):
            hand.reply_to(message)
        wait_for(lambda: other.pubsub_numsub(streams.query_channel(config.prefix))[0][1], "ears")
        appended = hand.append(deposit(7, 2, 5))
        ask(1, appended)
        answer = wait_for(lambda: heard.get_message(timeout=0.1), "an answer")

    envelope = json.loads(answer["data"])
    view = codec.decode_view(json.dumps(envelope["view"]).encode())
    assert envelope["query_id"] == 1
    assert isinstance(view, AccountView)
    assert view.balance_micros == 1_000_000_005
    assert entry_id_from_text(view.as_of) >= entry_id_from_text(appended)


@pytest.mark.parametrize(
    "question",
    [
        {"after": "", "query": {"type": "NoSuchQuery"}},
        {"after": "", "query": {"type": "AccountQuery", "account": "seven"}},
        {"after": "no id", "query": {"type": "AccountQuery", "account": 7}},
        {"after": 7},
    ],
)
def test_a_query_that_cannot_be_read_is_refused_at_once(config, hand, question, caplog) -> None:
    other = Redis.from_url(config.redis_url)
    heard = other.pubsub(ignore_subscribe_messages=True)
    heard.subscribe(streams.answer_channel(config.prefix, "g1"))
    channel = streams.query_channel(config.prefix)

    with running(config):
        wait_for(lambda: other.pubsub_numsub(channel)[0][1], "ears")
        # The first tells nobody to answer to, and is only written down.
        other.publish(channel, b"{")
        other.publish(channel, json.dumps({"gateway": "g1", "query_id": 5} | question))
        answer = json.loads(wait_for(lambda: heard.get_message(timeout=0.1), "an answer")["data"])
        (message,) = open_demo(7)[:1]
        hand.reply_to(message)

    assert (answer["query_id"], answer["refusal"]) == (5, "MALFORMED")
    assert answer["reason"]
    assert caplog.messages.count("A query cannot be read.") == 2


def test_stop_returns_within_its_time_and_leaves_a_snapshot_and_no_lease(config, hand) -> None:
    runner = build_runner(config)
    thread = threading.Thread(target=runner.run)
    thread.start()
    for message in open_demo(7):
        hand.reply_to(message)

    stopped = runner.stop()
    thread.join()

    assert stopped
    assert len(list(config.snapshot_dir.glob("*.snapshot"))) == 1
    assert not hand.redis.exists(streams.lease_key(config.prefix))
