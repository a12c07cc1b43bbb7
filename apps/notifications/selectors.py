"""Reads of how people want to be told; nothing is changed here."""

from collections.abc import Collection, Mapping

from django.contrib.auth import get_user_model

from apps.notifications.choices import EVENT_RULES, Channel, NoticeEvent
from apps.notifications.models import Delivery, Preference, Reach


def users_known(*, user_ids: Collection[int]) -> set[int]:
    """Return those of some users who exist; the engine may hold accounts whose owners are not people of this site."""
    return set(
        get_user_model()._default_manager.filter(pk__in=list(user_ids)).values_list("pk", flat=True)  # noqa: SLF001 - the documented way for a swapped model.
    )


def reach_get(*, user_id: int) -> Reach:
    """Return how a person wants to be reached; without a row the defaults, not saved."""
    return Reach.objects.filter(pk=user_id).first() or Reach(pk=user_id)


def language_chosen(*, user_id: int) -> str | None:
    """Return the language that a person has chosen or came with, None if nothing is known."""
    return Reach.objects.filter(pk=user_id).values_list("language", flat=True).first()


def reaches_get(*, user_ids: Collection[int]) -> dict[int, Reach]:
    """Return the same for many, by user."""
    found = Reach.objects.in_bulk(list(user_ids))
    return {user_id: found.get(user_id) or Reach(pk=user_id) for user_id in user_ids}


def channels_on(
    *, user_ids: Collection[int], events: Collection[NoticeEvent] = tuple(EVENT_RULES)
) -> dict[tuple[int, NoticeEvent], frozenset[Channel]]:
    """Return the channels that are on, by user and event."""
    chosen: dict[tuple[int, str], dict[str, bool]] = {}
    for row in Preference.objects.filter(user_id__in=list(user_ids), event__in=list(events)):
        chosen.setdefault((row.user_id, row.event), {})[row.channel] = row.is_on
    on = {}
    for event in events:
        # Few have chosen anything, and all others have the same.
        usual = _on(event, {})
        for user_id in user_ids:
            own = chosen.get((user_id, event.value))
            on[user_id, event] = _on(event, own) if own else usual
    return on


def _on(event: NoticeEvent, chosen: Mapping[str, bool]) -> frozenset[Channel]:
    rule = EVENT_RULES[event]
    return frozenset(
        channel
        for channel in Channel
        if channel in rule.forced or chosen.get(channel.value, channel in rule.default)
    )


def delivery_get(*, delivery_id: int) -> Delivery:
    """Return a delivery with its user.

    Errors: Delivery.DoesNotExist.
    """
    return Delivery.objects.select_related("user").get(pk=delivery_id)
