"""One shard and four shards give equal accounts: an account is the unit of sharding."""

import pytest

from engine.core.machine import Machine
from engine.messages import commands as c
from engine.messages.streams import shard_of
from engine.messages.views import AccountQuery
from tests.engine.properties.comparing import Comparison, digest_of, plain, tell
from tests.engine.properties.histories import Seeded, seeds_from

SHARDS = 4
ACCOUNTS = (1, 2, 3, 4, 5, 6, 7, 8)
SEEDS = seeds_from(3_000, 60)


def heard_by(shard: int, message: c.AnyMessage | None) -> c.AnyMessage | None:
    """Return what a shard hears of an entry: other shards' accounts are to it only time that passes."""
    is_foreign = (
        isinstance(message, c.AccountCommand) and shard_of(message.account, SHARDS) != shard
    )
    return c.Tick() if is_foreign else message


def test_four_shards_give_the_accounts_of_one() -> None:
    assert len({shard_of(a, SHARDS) for a in ACCOUNTS}) > 2
    for seed in SEEDS:
        # The house cap is each shard's own share, and answered ids older than a day leave a shard's table when it answers
        # again: histories that compare layouts do without both.
        *_, (comparison, _) = tell(
            Seeded(seed), 120, accounts=ACCOUNTS, house_cap_usd=0, hours_max=2
        )
        machines = [Machine(shard=shard, shards=SHARDS) for shard in range(SHARDS)]
        told: dict[int, list[object]] = {a: [] for a in ACCOUNTS}

        for entry_id, message, _, decided_at_us in comparison.entries:
            for shard, machine in enumerate(machines):
                heard = heard_by(shard, message)
                outcome = machine.decide(entry_id, heard, digest_of(heard), decided_at_us)
                for name, fields in map(plain, outcome.events if outcome else ()):
                    if "account" in fields:
                        told[fields["account"]].append((entry_id, name, fields))

        # An account shows the time of its shard's last entry, so all hear one more.
        last = comparison.machine.entry_id + 1
        for machine in (comparison.machine, *machines):
            machine.decide(last, c.Tick())
            machine.verify()
        for account in ACCOUNTS:
            query = AccountQuery(account=account)
            mine = machines[shard_of(account, SHARDS)]
            assert told[account] == told_by_one(comparison, account)
            assert mine.answer(query) == comparison.machine.answer(query)


def told_by_one(comparison: Comparison, account: int) -> list[object]:
    return [
        (entry_id, name, fields)
        for entry_id, _, outcome, _ in comparison.entries
        for name, fields in map(plain, outcome.events if outcome else ())
        if fields.get("account") == account
    ]


def test_a_snapshot_refuses_another_layout() -> None:
    dump = Machine(shard=1, shards=4).dump()

    with pytest.raises(Exception, match="shard"):
        Machine.load(dump, shard=0, shards=1)
