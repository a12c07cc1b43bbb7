"""An operator moves an instrument to another class of prices: by the log, by name, and with a reason."""

import pytest
from django.core.management import CommandError, call_command

from apps.auth.models import User
from apps.common.models import AuditEntry
from apps.market import services
from apps.market.models import Instrument
from engine.messages.commands import SetPriceSource
from engine.messages.events import PriceSourceSet
from engine.values import Actor, SourceClass

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def bob(live):
    services.catalogue_install()
    return User.objects.create(email="bob@example.com", is_staff=True)


def test_command_reaches_the_engine_and_comes_back_by_the_projector(live, bob):
    before = Instrument.objects.get(symbol="BTCUSDT")

    arguments = ("--staff", bob.email, "--reason", "the venue is gone for good")
    call_command("set_price_source", "BTC", "replay", *arguments)
    live.project()

    after = Instrument.objects.get(symbol="BTCUSDT")
    assert after.source_class == SourceClass.REPLAY.value
    # So that the next definition is another request than the one that named the former class.
    assert after.spec_version == before.spec_version + 1
    (definition,) = [one for one in services.definition_commands() if one.spec.symbol == "BTCUSDT"]
    assert definition.source_class is SourceClass.REPLAY
    live.project()
    assert Instrument.objects.get(symbol="BTCUSDT").spec_version == after.spec_version


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("BTC", "live", "--staff", "alice@example.com", "--reason", "x"), "operator"),
        (("NOPE", "live", "--staff", "bob@example.com", "--reason", "x"), "expected a symbol"),
        (("ETH", "live", "--staff", "bob@example.com", "--reason", "x"), "refuses: SYMBOL_UNKNOWN"),
    ],
)
def test_command_that_cannot_be_is_refused(live, bob, arguments, says):
    with pytest.raises(CommandError, match=says):
        call_command("set_price_source", *arguments)


def test_s38_the_command_is_written_down(live, bob):
    call_command("set_price_source", "BTC", "replay", "--staff", bob.email, "--reason", "test")

    entry = AuditEntry.objects.get(event="price_source_set")
    assert entry.actor_id == bob.pk
    assert entry.facts == {"symbol": "BTCUSDT", "sourceClass": "replay", "reason": "test"}


def test_command_names_the_operator_and_the_reason(live, bob):
    call_command("set_price_source", "BTC", "replay", "--staff", bob.email, "--reason", "test")

    output = live.send(
        SetPriceSource(
            request_id="again",
            actor=Actor.OPERATOR,
            staff_id=bob.pk,
            reason="test",
            source="operator",
            source_class=SourceClass.LIVE,
            symbol="BTCUSDT",
        )
    )
    assert output.events == (PriceSourceSet(symbol="BTCUSDT", source_class=SourceClass.LIVE),)
