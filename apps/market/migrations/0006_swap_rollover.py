from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("market", "0005_price_source_permission"),
    ]

    operations = [
        migrations.CreateModel(
            name="SwapRollover",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField(unique=True)),
                ("instruments", models.PositiveIntegerField(default=0)),
                ("charged_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ("-day",),
            },
        ),
    ]
