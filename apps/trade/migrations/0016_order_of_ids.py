"""The order of lists, which only Django knows: by the numbers in ids. No table changes."""

import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('trade', '0015_statement_request_id'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='fill',
            options={'ordering': ('-at_us', models.OrderBy(django.db.models.functions.text.Length('position_id'), descending=True), models.OrderBy(models.F('position_id'), descending=True), models.OrderBy(django.db.models.functions.text.Length('fill_id'), descending=True), models.OrderBy(models.F('fill_id'), descending=True))},
        ),
        migrations.AlterModelOptions(
            name='order',
            options={'ordering': ('-placed_at_us', models.OrderBy(django.db.models.functions.text.Length('order_id'), descending=True), models.OrderBy(models.F('order_id'), descending=True))},
        ),
        migrations.AlterModelOptions(
            name='position',
            options={'ordering': ('-opened_at_us', models.OrderBy(django.db.models.functions.text.Length('position_id'), descending=True), models.OrderBy(models.F('position_id'), descending=True))},
        ),
    ]
