"""Which instruments have an invented past, and up to when: made once, and never made again after it was taken away."""

from django.db import migrations

MAKE = """
CREATE TABLE candles_simulated (
    symbol text COLLATE "C" PRIMARY KEY,
    -- Beginning of the first invented candle and of the first minute of quotes; null: taken away, or never to be made.
    since timestamptz,
    until timestamptz,
    -- Whether continuous aggregates have taken it in; where triggers make longer candles they have at once.
    is_aggregated boolean NOT NULL,
    CHECK ((since IS NULL) = (until IS NULL) AND since < until)
)"""
DROP = "DROP TABLE candles_simulated"


class Migration(migrations.Migration):
    dependencies = [("market", "0008_mode_changes")]
    operations = [migrations.RunSQL(MAKE, DROP)]
