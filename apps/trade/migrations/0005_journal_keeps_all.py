"""A trigger against emptying the journal as a whole; a throw-away database may say that it is one."""

from django.db import migrations

_FORBID = """
CREATE FUNCTION trade_forbid_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Set for a database of tests, which empty every table: ALTER DATABASE ... SET cryptocfd.is_throw_away = 'on'.
    IF current_setting('cryptocfd.is_throw_away', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION '% is append-only: nothing may empty it', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER trade_journal_no_truncate BEFORE TRUNCATE ON trade_journalentry
    FOR EACH STATEMENT EXECUTE FUNCTION trade_forbid_truncate();
"""
_FORBID_BACK = """
DROP TRIGGER trade_journal_no_truncate ON trade_journalentry;
DROP FUNCTION trade_forbid_truncate();
"""


class Migration(migrations.Migration):
    dependencies = [("trade", "0004_journal_version")]

    operations = [migrations.RunSQL(sql=_FORBID, reverse_sql=_FORBID_BACK)]
