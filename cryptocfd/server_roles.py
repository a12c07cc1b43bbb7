"""Who may do what on the servers: the users of the log's Valkey, and the roles of PostgreSQL.

The embedded servers listen on private sockets and need none of it; on servers of one's own each part gets its own user.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

# Commands that every connection of the client libraries uses, and reports of health.
_CONNECT: Final = "+ping +hello +select +client|setinfo +client|setname +info +watch +multi +exec"

# Rules per user of the log. Both spellings of a stream: without shards and with. `{` is no special character of patterns.
# Nobody gets FLUSHALL, CONFIG or DEBUG; nobody but the engine scripts, trims or deletes. XADD can trim too: whoever may
# write commands could empty the input, which the engine notices and halts on (INPUT_GAP).
LOG_RULES: Final[Mapping[str, str]] = {
    # Gateways, that of the worker too: write commands, read answers and how far they were projected. Reading the input or writing
    # outputs is not theirs.
    "web": (
        "%W~stream:exness %W~stream:exness:* %R~stream:exnessReceive %R~stream:exnessReceive:* "
        f"%R~engine:layout %R~engine:*:consumers {_CONNECT} +xadd +xread +xrange +xrevrange +xinfo|stream +exists +hgetall"
    ),
    "engine": (
        "~stream:exness ~stream:exness:* ~stream:exnessReceive ~stream:exnessReceive:* ~engine:* "
        f"{_CONNECT} +evalsha +eval +script|load +xadd +xread +xrange +xrevrange +xtrim +xinfo|stream +exists "
        "+get +set +del +incr +incrby +pexpire +hget +hgetall +hset +hdel"
    ),
    # Quotes go in, under a clock that is held against the log's; candles are made of what stands there.
    "feed": (
        "~stream:exness ~stream:exness:* ~feed:* %R~engine:layout "
        f"{_CONNECT} +xadd +xread +xrange +xinfo|stream +exists +hgetall +eval +get +set +del +incr +incrby +pexpire +time"
    ),
    # Its process also sends cash commands.
    "projector": (
        "%R~stream:exnessReceive %R~stream:exnessReceive:* %R~engine:layout ~engine:*:consumers "
        f"%W~stream:exness %W~stream:exness:* {_CONNECT} +xadd +xread +xrange +xrevrange +xinfo|stream "
        "+exists +hgetall +hset"
    ),
    # Restores and reshards, by hand.
    "operator": "~* +@all -flushall -flushdb -config -debug -shutdown -swapdb",
}


def log_acl(passwords: Mapping[str, str]) -> str:
    """Return an ACL file of the log's server, with the passwords' hashes; the default user is off."""
    lines = ["user default off"]
    for name, rules in LOG_RULES.items():
        digest = hashlib.sha256(passwords[name].encode()).hexdigest()
        lines.append(f"user {name} on #{digest} resetchannels -@all {rules}")
    return "\n".join(lines) + "\n"


# PostgreSQL: the owner of the tables migrates, and is used for nothing else. Only the projector writes history, and not even
# it may change or empty what stands there. CREATE ROLE has no IF NOT EXISTS, so each is asked for.
_TABLES_APPEND: Final = ("trade_journalentry", "trade_ledgerentry", "common_auditentry")
DATABASE_ROLES: Final = ("cryptocfd_app", "cryptocfd_projector", "cryptocfd_readonly")


def database_sql() -> str:
    """Return the statements that make roles and rights; run as the owner after each migration, any number of times."""
    make = "".join(
        f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;\n"
        for role in DATABASE_ROLES
    )
    everybody = ", ".join(DATABASE_ROLES)
    append = ", ".join(_TABLES_APPEND)
    return f"""{make}
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO {everybody};
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {everybody};
GRANT SELECT ON ALL TABLES IN SCHEMA public TO {everybody};
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO cryptocfd_app, cryptocfd_projector;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO cryptocfd_app, cryptocfd_projector;
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE 'trade\\_%' LOOP
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %I FROM cryptocfd_app', name);
    END LOOP;
END $$;
DO $$ BEGIN
    -- Months of candles are made and dropped by functions of the owner; with TimescaleDB there is only the first.
    IF to_regprocedure('candles_retain(timestamptz)') IS NOT NULL THEN
        GRANT EXECUTE ON FUNCTION candles_retain(timestamptz) TO cryptocfd_app;
    END IF;
END $$;
REVOKE UPDATE, DELETE ON {append} FROM cryptocfd_app, cryptocfd_projector;
REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM cryptocfd_app, cryptocfd_projector;
REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM cryptocfd_readonly;
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public'
        AND (tablename LIKE 'trade\\_%' OR tablename LIKE 'market\\_%' OR tablename LIKE 'profile\\_%')
        AND tablename NOT LIKE 'profile\\_kyc%' LOOP
        EXECUTE format('GRANT SELECT ON %I TO cryptocfd_readonly', name);
    END LOOP;
END $$;
"""  # noqa: S608 - built of the constants above.
