"""An operator changes the class of prices in the admin: asked twice, sent to the engine, kept with who and why."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import reverse

from apps.auth.models import User
from apps.market import services
from apps.market.models import Instrument
from engine.messages.codec import decode_events
from engine.messages.events import PriceSourceSet
from engine.values import SourceClass
from tests.apps.live import live_platform

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

URL = reverse("admin:market_instrument_changelist")
REASON = "the venue is gone for good"


@pytest.fixture
def live(transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path):
    with live_platform(stream_prefix, log_redis_url, redis_url, tmp_path) as live:
        yield live


@pytest.fixture
def bob(live, client):
    services.catalogue_install()
    user = User.objects.create(email="bob@example.com", is_staff=True)
    names = ("view_instrument", "set_price_source")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    return user


def ask(client, symbols=("BTCUSDT",), **fields):
    rows = Instrument.objects.filter(symbol__in=symbols)
    data = {"action": "price_source_set", "_selected_action": [row.pk for row in rows]}
    return client.post(URL, data | fields, follow=True)


def decided(live):
    found = (e for _, fields in live.hand.outputs() for e in decode_events(fields.events))
    return [event for event in found if isinstance(event, PriceSourceSet)]


def test_first_page_only_asks(live, bob, client):
    page = ask(client)

    assert "Type: BTCUSDT" in page.content.decode()
    assert decided(live) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": REASON, "confirmation": "BTC"},
        {"reason": REASON, "confirmation": "BTCUSDT ETHUSDT"},
        {"reason": "why not", "confirmation": "BTCUSDT"},
        {"reason": REASON, "confirmation": "BTCUSDT", "source_class": "best"},
    ],
)
def test_what_is_not_confirmed_is_asked_again(live, bob, client, fields):
    page = ask(client, **({"source_class": "replay"} | fields))

    assert "Type: BTCUSDT" in page.content.decode()
    assert decided(live) == []


def test_confirmed_change_reaches_engine_feed_and_both_logs(live, bob, client):
    page = ask(client, source_class="replay", reason=REASON, confirmation="btcusdt")

    (event,) = decided(live)
    assert (event.symbol, event.source_class) == ("BTCUSDT", SourceClass.REPLAY)
    assert "takes replay prices" in page.content.decode()
    live.project()
    assert Instrument.objects.get(symbol="BTCUSDT").source_class == "replay"
    entry = LogEntry.objects.get()
    assert (entry.user_id, entry.object_repr) == (bob.pk, "BTCUSDT")
    assert REASON in entry.change_message


def test_refusal_of_the_engine_is_said(live, bob, client):
    page = ask(client, ("ETHUSDT",), source_class="live", reason=REASON, confirmation="ETHUSDT")

    assert "is not traded here" in page.content.decode()
    assert LogEntry.objects.count() == 0


def test_staff_without_the_permission_has_no_such_action(live, bob, client):
    bob.user_permissions.set(Permission.objects.filter(codename="view_instrument"))

    ask(client, source_class="replay", reason=REASON, confirmation="BTCUSDT")

    assert decided(live) == []
    assert Instrument.objects.get(symbol="BTCUSDT").source_class != "replay"
