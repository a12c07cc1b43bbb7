"""Triggers that say what CHECK constraints cannot: history is only added to, and posting groups sum to zero."""

from django.db import migrations

_FORBID = """
CREATE FUNCTION trade_forbid_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: a correction is a new entry', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER trade_journal_append_only BEFORE UPDATE OR DELETE ON trade_journalentry
    FOR EACH STATEMENT EXECUTE FUNCTION trade_forbid_change();
CREATE TRIGGER trade_ledger_append_only BEFORE UPDATE OR DELETE ON trade_ledgerentry
    FOR EACH STATEMENT EXECUTE FUNCTION trade_forbid_change();
"""
_FORBID_BACK = """
DROP TRIGGER trade_ledger_append_only ON trade_ledgerentry;
DROP TRIGGER trade_journal_append_only ON trade_journalentry;
DROP FUNCTION trade_forbid_change();
"""

# Per statement and not per row: the groups of one statement are whole, and one pass over them is cheap.
_BALANCE = """
CREATE FUNCTION trade_ledger_check_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    group_found record;
BEGIN
    SELECT layout, shard, n, event_index, sum(amount_micros) AS total INTO group_found
        FROM added GROUP BY layout, shard, n, event_index HAVING sum(amount_micros) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the postings of event % of output %/%/% sum to % and not to zero', group_found.event_index,
            group_found.layout, group_found.shard, group_found.n, group_found.total
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    SELECT n INTO group_found
        FROM added GROUP BY layout, shard, n, event_index
        HAVING min(split_part(ledger, ':', 1)) <> max(split_part(ledger, ':', 1)) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a posting group of output % mixes books', group_found.n
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER trade_ledger_balanced AFTER INSERT ON trade_ledgerentry REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION trade_ledger_check_balance();
"""
_BALANCE_BACK = """
DROP TRIGGER trade_ledger_balanced ON trade_ledgerentry;
DROP FUNCTION trade_ledger_check_balance();
"""


class Migration(migrations.Migration):
    dependencies = [("trade", "0001_initial")]

    operations = [
        migrations.RunSQL(sql=_FORBID, reverse_sql=_FORBID_BACK),
        migrations.RunSQL(sql=_BALANCE, reverse_sql=_BALANCE_BACK),
    ]
