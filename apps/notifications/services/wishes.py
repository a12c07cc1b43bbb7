"""How a person wants to be told: language, time zone, quiet hours, and what by which way."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from django.conf import settings
from django.db import transaction

from apps.notifications.choices import EVENT_RULES, Channel, NoticeEvent
from apps.notifications.models import Preference, Reach


@dataclass(frozen=True, slots=True)
class ReachWish:
    """What a person may say about being reached."""

    # One of settings.LANGUAGES.
    language: str
    # Name of the time zone.
    time_zone: str
    # Minutes after local midnight; equal: no hour is quiet.
    quiet_from: int
    quiet_until: int


def reach_set(*, user_id: int, wish: ReachWish) -> None:
    """Write how a person wants to be reached."""
    Reach.objects.update_or_create(pk=user_id, defaults=asdict(wish))


def language_note(*, user_id: int, language: str) -> None:
    """Write down the language that a person came with, unless one is known."""
    if language != settings.LANGUAGE_CODE:
        Reach.objects.get_or_create(pk=user_id, defaults={"language": language})


@transaction.atomic
def preferences_set(*, user_id: int, on: Mapping[tuple[NoticeEvent, Channel], bool]) -> None:
    """Write which messages a person wants by the channels that are named; only what differs from the defaults is kept."""
    # Others stay: who has no phone at the moment may have chosen for the text messages before.
    channels = {channel for _, channel in on}
    Preference.objects.filter(user_id=user_id, channel__in=channels).delete()
    Preference.objects.bulk_create(
        Preference(user_id=user_id, event=event, channel=channel, is_on=is_on)
        for (event, channel), is_on in on.items()
        if channel not in EVENT_RULES[event].forced
        and is_on != (channel in EVENT_RULES[event].default)
    )
