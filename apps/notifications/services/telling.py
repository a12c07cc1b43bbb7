"""Decides which messages an event becomes, in the transaction of that event; sending is the worker's."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from apps.common.outbox import Effect, outbox_add_all
from apps.notifications import selectors
from apps.notifications.choices import EVENT_RULES, Channel, NoticeEvent
from apps.notifications.models import Delivery, Reach
from apps.notifications.services.sending import delivery_send


@dataclass(frozen=True, slots=True)
class Wish:
    """One thing that one person is to be told."""

    user_id: int
    event: NoticeEvent
    # What makes it the same event when its cause is processed again, such as "margin-call:1001:57".
    key: str
    # What the template shows: plain text by name.
    facts: Mapping[str, str] = field(default_factory=dict)
    # A former mail address that is to be told too, empty without one.
    also_mail_to: str = ""


def wanted(about: Collection[tuple[int, NoticeEvent]]) -> set[tuple[int, NoticeEvent]]:
    """Return those of some pairs of user and event that would become a message now."""
    if not about:
        return set()
    user_ids = {user_id for user_id, _ in about}
    channels = selectors.channels_on(user_ids=user_ids, events={event for _, event in about})
    on = {pair for pair in about if channels[pair]}
    # Whether they exist is asked last: most fills are told to nobody.
    known = selectors.users_known(user_ids={user_id for user_id, _ in on}) if on else set()
    return {pair for pair in on if pair[0] in known}


@transaction.atomic
def tell(wishes: Sequence[Wish]) -> None:
    """Write the messages of some events with their outbox rows; events whose keys are known are left out."""
    user_ids = selectors.users_known(user_ids={wish.user_id for wish in wishes})
    events = {wish.event for wish in wishes}
    channels = selectors.channels_on(user_ids=user_ids, events=events)
    drafts = [
        draft
        for wish in wishes
        if wish.user_id in user_ids
        for draft in _drafts(wish, channels[wish.user_id, wish.event])
    ]
    if not drafts:
        return
    Delivery.objects.bulk_create(drafts, ignore_conflicts=True)
    # Rows that were there before have no id in the drafts, so all are read again by their keys.
    ids = dict(
        Delivery.objects.filter(key__in=[draft.key for draft in drafts]).values_list("key", "id")
    )
    reaches = selectors.reaches_get(user_ids=user_ids)
    now = timezone.now()
    outbox_add_all(
        [
            Effect(
                task=delivery_send,
                key=f"message:{draft.key}",
                payload={"delivery_id": ids[draft.key]},
                due_at=None if _is_urgent(draft) else quiet_end(reaches[draft.user_id], now),
            )
            for draft in drafts
        ]
    )


def _drafts(wish: Wish, channels: frozenset[Channel]) -> list[Delivery]:
    addresses = [(channel, "") for channel in sorted(channels)]
    if wish.also_mail_to:
        addresses.append((Channel.MAIL, wish.also_mail_to))
    return [
        Delivery(
            user_id=wish.user_id,
            event=wish.event,
            channel=channel,
            address=address,
            facts=dict(wish.facts),
            key=f"{wish.key}:{channel}{':former' if address else ''}",
        )
        for channel, address in addresses
    ]


def _is_urgent(draft: Delivery) -> bool:
    return EVENT_RULES[NoticeEvent(draft.event)].is_urgent


def quiet_end(reach: Reach, now: datetime) -> datetime | None:
    """Return when the quiet hours that hold now are over, None if none hold."""
    if reach.quiet_from == reach.quiet_until:
        return None
    local = now.astimezone(ZoneInfo(reach.time_zone))
    minute = local.hour * 60 + local.minute
    minutes_in = (minute - reach.quiet_from) % 1440
    length = (reach.quiet_until - reach.quiet_from) % 1440
    if minutes_in >= length:
        return None
    day = local.date() if minute < reach.quiet_until else local.date() + timedelta(days=1)
    # Built from the wall clock, so that a night with a change of the clocks ends at the wished hour too.
    end = datetime(
        day.year,
        day.month,
        day.day,
        reach.quiet_until // 60,
        reach.quiet_until % 60,
        tzinfo=local.tzinfo,
    )
    return end.astimezone(now.tzinfo)
