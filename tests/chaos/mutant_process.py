"""The engine's process with a bug that was built in on purpose; it dies at a named point.

Run as ``python -m tests.chaos.mutant_process <configuration.json> <mutant> <point> <hit>``.
"""

import hashlib
import sys
from collections.abc import Callable
from typing import Any

from engine.adapters import redis_script, redis_streams
from engine.adapters.redis_streams import RedisLog
from engine.core import image
from engine.core.decide import positions
from engine.core.machine import Machine, Outcome
from engine.core.state import State
from engine.messages import streams
from engine.messages.commands import PlaceOrder
from engine.messages.replies import Accepted
from engine.runtime import recovery
from engine.runtime.ports import Batch, Position, Probe, Published
from engine.values import text_from_entry_id
from tests.integration.engine_process import killer, run
from tests.integration.forking import forked

# Where a checkpoint that is no part of the commit can be lost.
BETWEEN = "between outputs and checkpoint"


def none(_probe: Probe) -> None:
    """The engine as it is."""


def non_atomic_checkpoint(probe: Probe) -> None:
    """Outputs are written by the script, the checkpoint by a command after it."""
    script = redis_script.PUBLISH.partition("redis.call('HSET'")[0] + "return 'DONE'"
    redis_streams.PUBLISH = script
    redis_streams._SCRIPT_ID = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
    publish, published = RedisLog.publish, RedisLog.published
    batches: list[Batch] = []

    def publish_outputs(log: RedisLog, batch: Batch) -> None:
        batches.append(batch)
        publish(log, batch)

    def published_checkpoint(log: RedisLog) -> Published:
        found, batch = published(log), batches.pop()
        if found is Published.DONE:
            if batch.outputs:
                probe(BETWEEN)
            after = batch.after
            fields = {
                streams.CHECKPOINT_IN: text_from_entry_id(after.entry_id),
                streams.CHECKPOINT_NUMBER: after.number,
                streams.CHECKPOINT_HASH: after.chain,
                streams.CHECKPOINT_COUNT: after.applied,
                streams.CHECKPOINT_EPOCH: batch.epoch,
                streams.CHECKPOINT_BUILD: batch.build,
            }
            parts = [part for field in fields.items() for part in field]
            log._connection.call("HSET", log._checkpoint, *parts)
        return found

    RedisLog.publish, RedisLog.published = publish_outputs, published_checkpoint


def acknowledged_before_it_is_applied(_probe: Probe) -> None:
    """An order is answered at once, and carried out with the next entry that is none."""
    decide = Machine.decide
    waiting: list[tuple[int, Any, tuple[Any, ...]]] = []

    def acknowledge(machine: Machine, entry_id: int, message: Any, *rest: Any, **named: Any) -> Any:
        if isinstance(message, PlaceOrder):
            waiting.append((entry_id, message, rest))
            return Outcome(message.account, message.request_id, Accepted(), ())
        while waiting:
            earlier_id, earlier, of_earlier = waiting.pop(0)
            decide(machine, earlier_id, earlier, *of_earlier)
        return decide(machine, entry_id, message, *rest, **named)

    Machine.decide = acknowledge


def request_ids_not_in_the_snapshot(_probe: Probe) -> None:
    """A state that is written knows no request that was answered."""

    def forgetful(of_state: Callable[..., Any]) -> Callable[..., Any]:
        def written(state: State, *rest: int) -> Any:
            kept = state.requests, state.request_queue
            state.requests, state.request_queue = {}, type(state.request_queue)()
            try:
                return of_state(state, *rest)
            finally:
                state.requests, state.request_queue = kept

        return written

    image.dump, image.state_hash = forgetful(image.dump), forgetful(image.state_hash)


def skipped_replay(_probe: Probe) -> None:
    """Recovery takes the snapshot for the state at the checkpoint."""

    def jump(_log: object, shard: Any, goal: Position) -> None:
        shard.position = goal

    recovery._evolve_history = jump


def order_by_hash(_probe: Probe) -> None:
    """Positions are closed in the order of salted hashes, another one in each process."""
    positions.sorted = lambda keys: sorted(keys, key=lambda k: hash(str(k)))


MUTANTS = {
    mutant.__name__: mutant
    for mutant in (
        none,
        non_atomic_checkpoint,
        acknowledged_before_it_is_applied,
        request_ids_not_in_the_snapshot,
        skipped_replay,
        order_by_hash,
    )
}


def main() -> None:
    path, mutant, point, hit = forked()
    probe = killer(point, int(hit))
    MUTANTS[mutant](probe)
    sys.exit(run(path, probe))


if __name__ == "__main__":
    main()
