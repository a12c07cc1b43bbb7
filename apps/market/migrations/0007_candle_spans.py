"""On a plain PostgreSQL, a page of history makes its longer candles by one reading of each lower interval, not bucket after bucket.

Which candles are made anew, and of what, stays the same: what is next to each other is read together. And minutes are held against
the beginning of a minute by arithmetic; truncating a time in a named zone took longer than storing it.
"""

import importlib

from django.db import migrations

FIRST = importlib.import_module("apps.market.migrations.0002_candles")

# In seconds, since days and weeks of an interval depend on the session's time zone; a month has no width of its own.
SECONDS = {
    "5 minutes": 300,
    "15 minutes": 900,
    "30 minutes": 1_800,
    "1 hour": 3_600,
    "4 hours": 14_400,
    "1 day": 86_400,
    "1 week": 604_800,
}
# Their minutes are few, so each is a span.
MONTH_SPANS = "SELECT symbol, bucket AS since, (bucket AT TIME ZONE 'UTC' + INTERVAL '1 month') AT TIME ZONE 'UTC' AS upto FROM touched"


def spans(width: str) -> str:
    """Return the query that joins neighbouring buckets of `touched` to spans."""
    if width not in SECONDS:
        return MONTH_SPANS
    step = f"INTERVAL '{SECONDS[width]} seconds'"
    return f"""SELECT symbol, min(bucket) AS since, max(bucket) + {step} AS upto
            FROM (SELECT symbol, bucket, bucket - row_number() OVER (PARTITION BY symbol ORDER BY bucket) * {step} AS run FROM touched) AS numbered
            GROUP BY symbol, run"""


def follow(relation: str, lower: str, width: str) -> str:
    """Return the function that keeps one longer interval equal to the aggregate of the lower one."""
    # All in one order, which the index has already: nothing is sorted per aggregate.
    aggregates = FIRST._aggregates(
        "(array_agg({} ORDER BY open_time))[1]", "(array_agg({} ORDER BY open_time))[count(*)]"
    )
    columns = [*FIRST.PRICES, "quote_count", "sources"]
    return f"""
CREATE OR REPLACE FUNCTION {relation}_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM changed) THEN
        INSERT INTO {relation} (symbol, open_time, {", ".join(columns)})
        WITH touched AS (
            SELECT DISTINCT symbol, {FIRST._bucket(width, "open_time")} AS bucket FROM changed
        ), span AS (
            {spans(width)}
        )
        SELECT span.symbol, whole.*
        FROM span
        -- Cannot be joined in another way than one span after the other, by the index.
        CROSS JOIN LATERAL (
            SELECT {FIRST._bucket(width, "open_time")} AS bucket, {aggregates}
            FROM {lower}
            WHERE symbol = span.symbol AND open_time >= span.since AND open_time < span.upto
            GROUP BY 1
        ) AS whole
        ORDER BY 1, 2
        ON CONFLICT (symbol, open_time) DO UPDATE SET {", ".join(f"{name} = EXCLUDED.{name}" for name in columns)};
    END IF;
    RETURN NULL;
END $$"""


def bucket_after_bucket(relation: str, lower: str, width: str) -> str:
    """Return the function as the first migration made it."""
    made = FIRST._roll_up(relation, lower, width)[1]
    return made.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


# By what it says, since its name is PostgreSQL's own choice.
_DROP_CHECK = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT conname FROM pg_constraint WHERE conrelid = 'candles_1m'::regclass AND contype = 'c'
        AND pg_get_constraintdef(oid) LIKE '{said}' LOOP
        EXECUTE format('ALTER TABLE candles_1m DROP CONSTRAINT %I', name);
    END LOOP;
END $$"""
FORWARDS = [
    _DROP_CHECK.format(said="%date_trunc%"),
    f"ALTER TABLE candles_1m ADD CHECK (open_time = date_bin(INTERVAL '1 minute', open_time, {FIRST.ORIGIN}))",
    *(follow(relation, lower, width) for _interval, relation, lower, width in FIRST.LEVELS),
]
BACKWARDS = [
    *(bucket_after_bucket(relation, lower, width) for _interval, relation, lower, width in FIRST.LEVELS),
    _DROP_CHECK.format(said="%date_bin%"),
    "ALTER TABLE candles_1m ADD CHECK (open_time = date_trunc('minute', open_time, 'UTC'))",
]


def _run(schema_editor, statements):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_class WHERE oid = 'candles_1m'::regclass AND relkind = 'p'")
        if cursor.fetchone() is not None:
            for statement in statements:
                cursor.execute(statement)


def _forwards(_apps, schema_editor):
    _run(schema_editor, FORWARDS)


def _backwards(_apps, schema_editor):
    _run(schema_editor, BACKWARDS)


class Migration(migrations.Migration):
    dependencies = [("market", "0006_swap_rollover")]
    operations = [migrations.RunPython(_forwards, _backwards)]
