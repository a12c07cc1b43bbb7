"""Indexes that no query reads and every order paid for, and the ledger's check in one pass.

Django adds an index for searches by prefix to every key of text; ids of orders, positions and fills are only looked up whole. Events
that moved money are found by their kinds, so the index of those with an amount has never served.
"""

from django.db import migrations

_PREFIX_INDEXES = (
    ("trade_order_order_id_f42a8110_like", "trade_order", "order_id"),
    ("trade_position_position_id_2d7a0f53_like", "trade_position", "position_id"),
    ("trade_fill_fill_id_05883179_like", "trade_fill", "fill_id"),
    ("trade_closedtrade_fill_id_68829d88_like", "trade_closedtrade", "fill_id"),
)

# One scan and one grouping for both questions; what is wrong with the group that it finds is told afterwards.
_BALANCE = """
CREATE OR REPLACE FUNCTION trade_ledger_check_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    group_found record;
BEGIN
    SELECT layout, shard, n, event_index, sum(amount_micros) AS total INTO group_found
        FROM added GROUP BY layout, shard, n, event_index
        HAVING sum(amount_micros) <> 0 OR min(split_part(ledger, ':', 1)) <> max(split_part(ledger, ':', 1)) LIMIT 1;
    IF FOUND AND group_found.total <> 0 THEN
        RAISE EXCEPTION 'the postings of event % of output %/%/% sum to % and not to zero', group_found.event_index,
            group_found.layout, group_found.shard, group_found.n, group_found.total
            USING ERRCODE = 'integrity_constraint_violation';
    ELSIF FOUND THEN
        RAISE EXCEPTION 'a posting group of output % mixes books', group_found.n
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END
$$;
"""
_BALANCE_BACK = """
CREATE OR REPLACE FUNCTION trade_ledger_check_balance() RETURNS trigger LANGUAGE plpgsql AS $$
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
"""


class Migration(migrations.Migration):

    dependencies = [
        ('trade', '0012_ledger_without_name_index'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='historyevent',
            name='trade_history_money',
        ),
        *(
            migrations.RunSQL(
                sql=f"DROP INDEX IF EXISTS {name}",
                reverse_sql=f"CREATE INDEX {name} ON {table} ({column} varchar_pattern_ops)",
            )
            for name, table, column in _PREFIX_INDEXES
        ),
        migrations.RunSQL(sql=_BALANCE, reverse_sql=_BALANCE_BACK),
    ]
