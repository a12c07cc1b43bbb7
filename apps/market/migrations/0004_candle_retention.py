"""Old minutes leave a plain PostgreSQL too, and partitions are made and dropped by whoever may call the functions.

The functions run with the rights of the tables' owner: the programs of a running platform have none to create or drop tables. With
TimescaleDB nothing changes: chunks come by themselves, and its retention policy drops them.
"""

from django.db import migrations

# Whole months of minutes that ended before this time; longer candles stay, as they do with TimescaleDB.
RETAIN = """
CREATE FUNCTION candles_retain(before timestamptz) RETURNS integer LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    partition text;
    dropped integer := 0;
BEGIN
    FOR partition IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'candles_1m'::regclass AND relname ~ '^candles_1m_[0-9]{4}_[0-9]{2}$' ORDER BY relname
    LOOP
        IF (to_date(right(partition, 7), 'YYYY_MM') + INTERVAL '1 month') AT TIME ZONE 'UTC' <= before THEN
            EXECUTE format('DROP TABLE %I', partition);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    RETURN dropped;
END $$"""

FORWARDS = [
    RETAIN,
    # Nobody else may: they run with the owner's rights.
    "REVOKE ALL ON FUNCTION candles_retain(timestamptz) FROM PUBLIC",
    "ALTER FUNCTION candles_prepare(timestamptz, timestamptz) SECURITY DEFINER SET search_path = public, pg_temp",
]
BACKWARDS = [
    "ALTER FUNCTION candles_prepare(timestamptz, timestamptz) SECURITY INVOKER RESET search_path",
    "DROP FUNCTION candles_retain(timestamptz)",
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
    dependencies = [("market", "0003_markup")]
    operations = [migrations.RunPython(_forwards, _backwards)]
