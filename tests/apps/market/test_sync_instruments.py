"""The venue's exchange information against our specifications: shown first, taken over only when told."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.market import services
from apps.market.models import Instrument
from tests.apps.market.klines import KlineVenue, kline_server

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _catalogue(db):
    services.catalogue_install()


def symbol(name, status="TRADING", **lot):
    rules = {
        "filterType": "LOT_SIZE",
        "stepSize": "0.00001",
        "minQty": "0.00001",
        "maxQty": "9000000000",
    }
    filters = [rules | lot, {"filterType": "PRICE_FILTER", "tickSize": "0.01"}]
    return {"symbol": name, "status": status, "filters": filters, "other": [1]}


def run(*arguments):
    out = StringIO()
    call_command("sync_instruments", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def venue():
    venue = KlineVenue(0, 0)
    names = [row.symbol for row in services.catalogue_rows()]
    # A thousand of PEPE is listed as PEPE.
    listed = [symbol(name.removeprefix("1000")) for name in names if name != "ETHUSDT"]
    venue.exchange_info = {"symbols": listed}
    with kline_server(venue) as url:
        venue.url = url
        yield venue


def test_difference_is_shown_and_nothing_changes(venue):
    venue.exchange_info["symbols"][0] = symbol(
        "BTCUSDT", "BREAK", stepSize="0.001", minQty="0.0005"
    )
    before = Instrument.objects.get(symbol="BTCUSDT")

    text = run("--url", venue.url)

    assert "break" in text
    assert "0.00100" in text
    assert "ETHUSDT" in text
    assert "not listed" in text
    assert "--apply does it" in text
    after = Instrument.objects.get(symbol="BTCUSDT")
    assert (after.quantity_step_units, after.spec_version) == (before.quantity_step_units, 1)


def test_apply_takes_quantities_over_as_a_new_version(venue):
    venue.exchange_info["symbols"][0] = symbol("BTCUSDT", stepSize="0.001", minQty="0.0005")

    run("--url", venue.url, "--apply")

    row = Instrument.objects.get(symbol="BTCUSDT")
    assert (row.quantity_step_units, row.quantity_min_units, row.spec_version) == (100, 100, 2)
    assert row.quantity_max_units % 100 == 0
    assert row.trading_mode == "open"


def test_quantities_without_an_overlap_are_only_shown(venue):
    venue.exchange_info["symbols"][0] = symbol("BTCUSDT", maxQty="0.00001")

    text = run("--url", venue.url, "--apply")

    assert "at most 0.00001" in text
    assert Instrument.objects.get(symbol="BTCUSDT").spec_version == 1


def test_saved_information_will_do(tmp_path, venue):
    path = tmp_path / "info.json"
    path.write_text(json.dumps(venue.exchange_info))

    assert "not listed" in run("--file", str(path))


def test_what_is_no_information_is_refused(tmp_path):
    path = tmp_path / "info.json"
    path.write_text("{}")

    with pytest.raises(CommandError, match="no exchange information"):
        run("--file", str(path))
    with pytest.raises(CommandError, match="no exchange information"):
        run("--file", str(tmp_path / "none.json"))
