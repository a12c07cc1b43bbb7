from django.db import migrations

# What the projector would have added up, of the ledger and the times of its events.
FILL = """
INSERT INTO trade_houseday (shard, ledger, day, amount_micros)
SELECT l.shard, l.ledger, DATE '1970-01-01' + (h.at_us / 86400000000)::int, sum(l.amount_micros)
FROM trade_ledgerentry l JOIN trade_historyevent h USING (layout, shard, n, event_index)
WHERE position(':house:' in l.ledger) > 0
GROUP BY 1, 2, 3
"""


class Migration(migrations.Migration):

    dependencies = [
        ('trade', '0010_house_days'),
    ]

    operations = [
        migrations.RunSQL(FILL, "DELETE FROM trade_houseday"),
    ]
