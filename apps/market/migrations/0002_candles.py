"""Candles: minutes as the writer stores them, and every longer interval under the same names on both kinds of server.

With TimescaleDB (the extension must have been created in this database before): a hypertable, continuous aggregates upon each other
with a real-time view, compression, retention. Without: partitions by month, and tables that triggers keep equal to the aggregate
of the next lower interval within the writer's own transaction.

Prices are integers: bid and ask in ticks, mid in half ticks (bid + ask). `quote_count` is the tick volume. `sources` is a sum of
1 live, 2 replay, 4 simulated, 8 backfilled. `first_us` and `last_us` say how far into its minute a candle's first and last quote
lie, so that a late one finds its place. Nothing of this passes through the ORM.
"""

from django.db import migrations

# Interval, its relation, the next lower one, width. The first is the table of minutes.
LEVELS = (
    ("5m", "candles_5m", "candles_1m", "5 minutes"),
    ("15m", "candles_15m", "candles_5m", "15 minutes"),
    ("30m", "candles_30m", "candles_15m", "30 minutes"),
    ("1h", "candles_1h", "candles_30m", "1 hour"),
    ("4h", "candles_4h", "candles_1h", "4 hours"),
    ("1d", "candles_1d", "candles_4h", "1 day"),
    ("1w", "candles_1w", "candles_1d", "1 week"),
    ("1M", "candles_1mo", "candles_1d", "1 month"),
)
# Weeks begin on Mondays; TimescaleDB's own origin is the same.
ORIGIN = "timestamptz '2000-01-03 00:00:00+00'"

PRICES = (
    "bid_open",
    "bid_high",
    "bid_low",
    "bid_close",
    "mid_open",
    "mid_high",
    "mid_low",
    "mid_close",
    "ask_high",
    "ask_low",
)

_COLUMNS = f"""
    symbol text COLLATE "C" NOT NULL,
    open_time timestamptz NOT NULL,
    {", ".join(f"{name} bigint NOT NULL" for name in PRICES)},
    quote_count bigint NOT NULL,
    sources smallint NOT NULL"""

_CHECKS = """
    CHECK (bid_low > 0 AND bid_low <= bid_open AND bid_low <= bid_close AND bid_high >= bid_open AND bid_high >= bid_close),
    CHECK (mid_low <= mid_open AND mid_low <= mid_close AND mid_high >= mid_open AND mid_high >= mid_close),
    CHECK (ask_low <= ask_high),
    CHECK (quote_count >= 0 AND sources > 0)"""

_MINUTES = f"""
CREATE TABLE candles_1m ({_COLUMNS},
    first_us integer NOT NULL,
    last_us integer NOT NULL,
    origin text,
    PRIMARY KEY (symbol, open_time),{_CHECKS},
    CHECK (open_time = date_trunc('minute', open_time, 'UTC')),
    CHECK (first_us >= 0 AND first_us <= last_us AND last_us < 60000000)
)"""

# One row: up to which entry of the log the minutes hold every quote. Written in the transaction of the candles.
_POSITION = """
CREATE TABLE candles_position (
    id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    entry_id text NOT NULL,
    -- Entries that were gone before they were read, and quotes that claimed to be of the future.
    lost_spans integer NOT NULL DEFAULT 0,
    ahead_quotes bigint NOT NULL DEFAULT 0,
    written_at timestamptz NOT NULL DEFAULT now()
)"""


def _aggregates(first: str, last: str) -> str:
    """Return the select list that makes one candle of several; `first` and `last` take {} for a column."""
    parts = []
    for side in ("bid", "mid"):
        parts += [
            f"{first.format(side + '_open')} AS {side}_open",
            f"max({side}_high) AS {side}_high",
            f"min({side}_low) AS {side}_low",
            f"{last.format(side + '_close')} AS {side}_close",
        ]
    parts += ["max(ask_high) AS ask_high", "min(ask_low) AS ask_low"]
    parts += ["sum(quote_count)::bigint AS quote_count", "bit_or(sources) AS sources"]
    return ",\n    ".join(parts)


def timescale_statements() -> list[str]:
    """Return what makes the relations on a server with TimescaleDB."""
    statements = [
        _POSITION,
        _MINUTES,
        "SELECT create_hypertable('candles_1m', by_range('open_time', INTERVAL '7 days'))",
        "ALTER TABLE candles_1m SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol',"
        " timescaledb.compress_orderby = 'open_time DESC')",
        "SELECT add_compression_policy('candles_1m', INTERVAL '14 days')",
        "SELECT add_retention_policy('candles_1m', INTERVAL '2 years')",
    ]
    aggregates = _aggregates("first({}, open_time)", "last({}, open_time)")
    for _interval, relation, lower, width in LEVELS:
        # The column cannot be named as its source in the GROUP BY, so it goes by its place.
        statements.append(
            f"CREATE MATERIALIZED VIEW {relation} WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS\n"
            f"SELECT symbol, time_bucket(INTERVAL '{width}', {lower}.open_time) AS open_time,\n    {aggregates}\n"
            f"FROM {lower} GROUP BY 1, 2 WITH NO DATA"
        )
        start = "90 days" if width in {"1 week", "1 month"} else "8 days"
        end = width if width in {"1 day", "1 week", "1 month"} else "4 hours"
        statements.append(
            f"SELECT add_continuous_aggregate_policy('{relation}', start_offset => INTERVAL '{start}',"
            f" end_offset => INTERVAL '{end}', schedule_interval => INTERVAL '10 minutes')"
        )
    # Chunks come by themselves; the function exists so that the writer need not know.
    statements.append(
        "CREATE FUNCTION candles_prepare(since timestamptz, upto timestamptz) RETURNS void LANGUAGE sql AS 'SELECT'"
    )
    return statements


def _bucket(width: str, column: str) -> str:
    if width == "1 month":
        return f"date_trunc('month', {column}, 'UTC')"
    return f"date_bin(INTERVAL '{width}', {column}, {ORIGIN})"


def _roll_up(relation: str, lower: str, width: str) -> list[str]:
    """Return what keeps one longer interval equal to the aggregate of the lower one, whoever writes that."""
    aggregates = _aggregates(
        "(array_agg({} ORDER BY open_time))[1]", "(array_agg({} ORDER BY open_time DESC))[1]"
    )
    columns = [*PRICES, "quote_count", "sources"]
    updates = ", ".join(f"{name} = EXCLUDED.{name}" for name in columns)
    # Months differ in length; in UTC they end where the next one begins.
    upto = "(changed_bucket AT TIME ZONE 'UTC' + INTERVAL '" + width + "') AT TIME ZONE 'UTC'"
    function = f"""
CREATE FUNCTION {relation}_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM changed) THEN
        -- The lateral query cannot be joined in another way than one bucket after the other, by the index.
        INSERT INTO {relation} (symbol, open_time, {", ".join(columns)})
        SELECT touched.symbol, changed_bucket, {", ".join(f"whole.{name}" for name in columns)}
        FROM (SELECT DISTINCT symbol, {_bucket(width, "open_time")} AS changed_bucket FROM changed) AS touched
        CROSS JOIN LATERAL (
            SELECT {aggregates}
            FROM {lower}
            WHERE symbol = touched.symbol AND open_time >= changed_bucket AND open_time < {upto}
        ) AS whole
        ORDER BY 1, 2
        ON CONFLICT (symbol, open_time) DO UPDATE SET {updates};
    END IF;
    RETURN NULL;
END $$"""
    name = f"{relation}_follows"
    return [
        f"CREATE TABLE {relation} ({_COLUMNS}, PRIMARY KEY (symbol, open_time)) WITH (fillfactor = 80)",
        function,
        *(
            f"CREATE TRIGGER {name}_{event.lower()} AFTER {event} ON {lower} REFERENCING NEW TABLE AS changed"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {relation}_follow()"
            for event in ("INSERT", "UPDATE")
        ),
    ]


_PREPARE = """
CREATE FUNCTION candles_prepare(since timestamptz, upto timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    -- As UTC without a zone: months must not depend on the session's.
    month timestamp := date_trunc('month', since AT TIME ZONE 'UTC');
    partition text;
BEGIN
    WHILE month <= upto AT TIME ZONE 'UTC' LOOP
        partition := 'candles_1m_' || to_char(month, 'YYYY_MM');
        IF to_regclass(partition) IS NULL THEN
            -- Two writers of one month wait for each other here instead of failing.
            PERFORM pg_advisory_xact_lock(hashtext(partition));
            EXECUTE format(
                'CREATE TABLE IF NOT EXISTS %I PARTITION OF candles_1m FOR VALUES FROM (%L) TO (%L) WITH (fillfactor = 80)',
                partition, month || '+00', (month + INTERVAL '1 month') || '+00'
            );
        END IF;
        month := month + INTERVAL '1 month';
    END LOOP;
END $$"""


# Before any row is locked: else the writer and a backfill, each with its own rows, would sum without the other's.
_ONE_AT_A_TIME = (
    """
CREATE FUNCTION candles_one_at_a_time() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7306002);
    RETURN NULL;
END $$""",
    "CREATE TRIGGER candles_1m_one_at_a_time BEFORE INSERT OR UPDATE ON candles_1m"
    " FOR EACH STATEMENT EXECUTE FUNCTION candles_one_at_a_time()",
)


def plain_statements() -> list[str]:
    """Return what makes the same relations on a plain PostgreSQL."""
    statements = [_POSITION, f"{_MINUTES} PARTITION BY RANGE (open_time)", _PREPARE, *_ONE_AT_A_TIME]
    for _interval, relation, lower, width in LEVELS:
        statements += _roll_up(relation, lower, width)
    return statements


def drop_statements() -> list[str]:
    """Return what takes everything away again, on either kind of server."""
    drops = []
    for _interval, relation, _lower, _width in reversed(LEVELS):
        drops.append(
            f"DO $$ BEGIN IF (SELECT relkind FROM pg_class WHERE oid = '{relation}'::regclass) = 'v'"
            f" THEN EXECUTE 'DROP MATERIALIZED VIEW {relation} CASCADE';"
            f" ELSE EXECUTE 'DROP TABLE {relation} CASCADE'; END IF; END $$"
        )
    drops.append("DROP TABLE candles_1m CASCADE")
    drops += [f"DROP FUNCTION IF EXISTS {relation}_follow()" for _i, relation, _l, _w in LEVELS]
    drops.append("DROP FUNCTION IF EXISTS candles_one_at_a_time()")
    return [*drops, "DROP FUNCTION candles_prepare", "DROP TABLE candles_position"]


def _create(_apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'")
        statements = timescale_statements() if cursor.fetchone() is not None else plain_statements()
        for statement in statements:
            cursor.execute(statement)


def _drop(_apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        for statement in drop_statements():
            cursor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("market", "0001_initial")]
    operations = [migrations.RunPython(_create, _drop)]
