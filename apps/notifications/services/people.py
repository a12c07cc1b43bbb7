"""What this app knows about one person, and how it is forgotten."""

from typing import Any

from apps.common.models import OutboxEffect
from apps.notifications import selectors
from apps.notifications.models import Delivery, Preference, Reach


def messages_export(user_id: int) -> dict[str, Any]:
    """Return what this app stores about a person."""
    reach = selectors.reach_get(user_id=user_id)
    messages = Delivery.objects.filter(user_id=user_id).order_by("id")
    return {
        "language": reach.language,
        "timeZone": reach.time_zone,
        "phone": reach.phone,
        "preferences": list(
            Preference.objects.filter(user_id=user_id)
            .order_by("id")
            .values("event", "channel", "is_on")
        ),
        "messages": [
            {
                "event": row.event,
                "channel": row.channel,
                "facts": row.facts,
                "createdAt": row.created_at.isoformat(),
                "sentAt": row.sent_at.isoformat() if row.sent_at else None,
            }
            for row in messages
        ],
    }


def messages_forget(user_id: int) -> None:
    """Forget how a person was reached and what was told; messages that wait are not sent any more."""
    keys = [
        f"message:{key}"
        for key in Delivery.objects.filter(user_id=user_id).values_list("key", flat=True)
    ]
    OutboxEffect.objects.filter(key__in=keys, done_at__isnull=True).delete()
    Delivery.objects.filter(user_id=user_id).update(facts={}, address="")
    Preference.objects.filter(user_id=user_id).delete()
    Reach.objects.filter(user_id=user_id).delete()
