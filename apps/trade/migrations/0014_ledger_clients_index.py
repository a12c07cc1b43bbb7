"""The ledger's index by account holds what is summed by account: the clients' own postings, which are fewer than half of all.

The postings of an event are found by its output, which has an index of its own.
"""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('trade', '0013_fewer_indexes'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='ledgerentry',
            name='trade_ledger_account',
        ),
        migrations.AddIndex(
            model_name='ledgerentry',
            index=models.Index(condition=models.Q(('ledger__contains', ':client:')), fields=['account'], name='trade_ledger_client'),
        ),
    ]
