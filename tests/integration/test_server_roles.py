"""Each user of the log and each role of the database does its work, and nothing else."""

import secrets

import pytest
from django.core.management import call_command
from django.db import ProgrammingError, connection, transaction
from redis import Redis
from redis.exceptions import NoPermissionError

from cryptocfd.server_roles import DATABASE_ROLES, LOG_RULES, database_sql, log_acl
from engine.adapters.compose import build_runner
from engine.messages import codec, streams
from engine.messages.commands import Tick
from tests.integration.engine_log import LogHand, RunningEngine, engine_config, open_demo

pytestmark = pytest.mark.integration


@pytest.fixture
def users(log_redis_url):
    """Every user of the ACL file on the running server, under names of the test's own."""
    admin = Redis.from_url(log_redis_url)
    mark = secrets.token_hex(4)
    passwords = {name: secrets.token_hex(8) for name in LOG_RULES}
    lines = [line.split() for line in log_acl(passwords).splitlines() if "default" not in line]
    for _, name, *rules in lines:
        admin.execute_command("ACL", "SETUSER", f"{name}-{mark}", "reset", *rules)

    def url(name: str) -> str:
        return log_redis_url.replace("unix://", f"unix://{name}-{mark}:{passwords[name]}@")

    yield url
    for name in LOG_RULES:
        admin.execute_command("ACL", "DELUSER", f"{name}-{mark}")


# The rules name the keys of production, whose prefix is empty; these leave no trace there, or are refused.
REFUSED = [
    ("web", ("XREAD", "STREAMS", "stream:exness", "0")),
    ("web", ("XADD", "stream:exnessReceive", "*", "n", "1")),
    ("web", ("XTRIM", "stream:exness:{0}", "MAXLEN", "0")),
    ("web", ("DEL", "stream:exness")),
    ("web", ("EVAL", "return 1", "0")),
    ("web", ("HSET", "engine:layout", "shards", "2")),
    ("web", ("HSET", "engine:{63}:consumers", "projector", "1-1")),
    ("feed", ("XADD", "stream:exnessReceive:{0}", "*", "n", "1")),
    ("feed", ("HGETALL", "engine:{0}:checkpoint")),
    ("projector", ("XREAD", "STREAMS", "stream:exness", "0")),
    ("projector", ("XADD", "stream:exnessReceive", "*", "n", "1")),
    ("projector", ("HSET", "engine:{0}:checkpoint", "n", "1")),
    ("engine", ("SET", "feed:lease", "me")),
    *[
        (name, command)
        for name in LOG_RULES
        for command in (("FLUSHALL",), ("CONFIG", "GET", "dir"), ("SWAPDB", "0", "1"))
    ],
]


@pytest.mark.parametrize(("name", "command"), REFUSED, ids=lambda value: str(value)[:40])
def test_s40_a_user_of_the_log_cannot_do_what_is_not_its_work(users, name, command):
    client = Redis.from_url(users(name))
    assert client.ping()

    with pytest.raises(NoPermissionError):
        client.execute_command(*command)


ALLOWED = [
    ("web", ("XREVRANGE", "stream:exnessReceive:{63}", "+", "-", "COUNT", "1")),
    ("web", ("EXISTS", "stream:exness")),
    ("web", ("HGETALL", "engine:layout")),
    ("web", ("HGETALL", "engine:{63}:consumers")),
    ("feed", ("GET", "feed:lease")),
    ("feed", ("XREAD", "STREAMS", "stream:exness:{63}", "0")),
    ("projector", ("XREAD", "STREAMS", "stream:exnessReceive", "0")),
    ("engine", ("HGETALL", "engine:{63}:checkpoint")),
    ("operator", ("EXISTS", "engine:layout")),
]


@pytest.mark.parametrize(("name", "command"), ALLOWED, ids=lambda value: str(value)[:40])
def test_s40_a_user_of_the_log_can_do_its_work(users, name, command):
    Redis.from_url(users(name)).execute_command(*command)


def test_an_engine_works_under_its_user(users, log_redis_url, redis_url, tmp_path, stream_prefix):
    # The rules with the test's prefix, so that nothing of another test is touched.
    admin = Redis.from_url(log_redis_url)
    name = f"engine-{stream_prefix}".rstrip(":")
    keys = [f"~{stream_prefix}{rule[1:]}" for rule in LOG_RULES["engine"].split() if rule[0] == "~"]
    rights = [rule for rule in LOG_RULES["engine"].split() if rule[0] == "+"]
    admin.execute_command("ACL", "SETUSER", name, "reset", "on", ">secret", *keys, *rights)
    url = log_redis_url.replace("unix://", f"unix://{name}:secret@")
    engine = RunningEngine(build_runner(engine_config(stream_prefix, url, redis_url, tmp_path)))
    hand = LogHand(engine_config(stream_prefix, log_redis_url, redis_url, tmp_path))

    engine.thread.start()
    try:
        replies = [hand.reply_to(command) for command in open_demo(1)]
        hand.append(codec.encode(Tick()))
    finally:
        engine.runner.stop()
        error = engine.ended()
        admin.execute_command("ACL", "DELUSER", name)

    assert error is None
    assert len(replies) == 3
    assert int(hand.position()[streams.CHECKPOINT_NUMBER]) == 3


# --- PostgreSQL -------------------------------------------------------------------------------------------------------

DATABASE_REFUSED = [
    ("cryptocfd_app", "INSERT INTO trade_projectoroffset VALUES (9, 9, 0, 0, '')"),
    ("cryptocfd_app", "UPDATE trade_account SET balance_micros = 1"),
    ("cryptocfd_app", "CREATE TABLE public.x (i int)"),
    ("cryptocfd_projector", "UPDATE trade_journalentry SET n = 1"),
    ("cryptocfd_projector", "DELETE FROM trade_ledgerentry"),
    ("cryptocfd_projector", "TRUNCATE trade_journalentry"),
    ("cryptocfd_projector", "ALTER TABLE trade_journalentry DISABLE TRIGGER ALL"),
    ("cryptocfd_app", "UPDATE common_auditentry SET event = 'x'"),
    ("cryptocfd_app", "DELETE FROM common_auditentry"),
    ("cryptocfd_readonly", "DELETE FROM trade_account"),
    ("cryptocfd_readonly", "SELECT * FROM profile_kycfile"),
    ("cryptocfd_readonly", "SELECT * FROM accounts_user"),
]
DATABASE_ALLOWED = [
    ("cryptocfd_app", "SELECT count(*) FROM trade_journalentry"),
    ("cryptocfd_app", "DELETE FROM common_outboxeffect"),
    # An invented past comes and goes.
    ("cryptocfd_app", "INSERT INTO candles_simulated VALUES ('X', NULL, NULL, true)"),
    ("cryptocfd_app", "DELETE FROM candles_1h"),
    ("cryptocfd_projector", "INSERT INTO trade_projectoroffset VALUES (9, 9, 0, 0, '')"),
    ("cryptocfd_projector", "UPDATE profile_cashrequest SET code = ''"),
    ("cryptocfd_readonly", "SELECT count(*) FROM trade_account"),
]


@pytest.fixture
def roles(db):
    """The roles, for the length of a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(database_sql())
        # Again, as after the next migration.
        cursor.execute(database_sql())
        yield cursor


@pytest.mark.parametrize(("role", "statement"), DATABASE_REFUSED)
def test_s42_a_role_of_the_database_cannot_do_what_is_not_its_work(roles, role, statement):
    assert role in DATABASE_ROLES
    roles.execute(f"SET LOCAL ROLE {role}")

    with (
        pytest.raises(ProgrammingError, match=r"permission denied|must be owner"),
        transaction.atomic(),
    ):
        roles.execute(statement)


@pytest.mark.parametrize(("role", "statement"), DATABASE_ALLOWED)
def test_s42_a_role_of_the_database_can_do_its_work(roles, role, statement):
    roles.execute(f"SET LOCAL ROLE {role}")

    roles.execute(statement)


def test_the_files_are_printed(monkeypatch, capsys):
    for name in LOG_RULES:
        monkeypatch.setenv(f"LOG_PASSWORD_{name.upper()}", f"secret-of-{name}")

    call_command("server_roles", "log")
    printed = capsys.readouterr().out
    call_command("server_roles", "postgres")

    assert printed.startswith("user default off\nuser web on #")
    assert "secret-of" not in printed
    assert "CREATE ROLE cryptocfd_projector LOGIN" in capsys.readouterr().out
