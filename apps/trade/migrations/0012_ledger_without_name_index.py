"""No query reads the ledger by its accounts' names, and every posting paid for the index that would let one."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('trade', '0011_house_days_filled'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='ledgerentry',
            name='trade_ledger_name',
        ),
    ]
