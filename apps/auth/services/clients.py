"""Notices sign-ins from clients that a person has not used before."""

import hashlib
import re

from django.http import HttpRequest
from django.utils import timezone

from apps.auth.models import KnownClient, User
from apps.notifications.facade import NoticeEvent, notify

_NAMES = ("Edg", "OPR", "Firefox", "Chromium", "Chrome", "Safari")
_SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Mac OS X", "Linux")
# Updates come every few weeks and make no new device.
_VERSIONS = re.compile(r"[\d._]+")


def client_name(user_agent: str) -> str:
    """Return how people call a client, such as "Firefox on Linux"."""
    name = next((known for known in _NAMES if known in user_agent), "")
    system = next((known for known in _SYSTEMS if known in user_agent), "")
    if name and system:
        return f"{name} on {system}"
    return user_agent[:40] or "an unnamed program"


def client_note(*, request: HttpRequest, user: User) -> None:
    """Remember the client of a sign-in; its owner is told about a new one, unless it is the very first."""
    user_agent = request.headers.get("User-Agent", "")
    digest = hashlib.sha256(_VERSIONS.sub("", user_agent).encode()).hexdigest()
    is_first = not KnownClient.objects.filter(user=user).exists()
    client, is_new = KnownClient.objects.update_or_create(
        user=user, client_sha256=digest, defaults={"seen_at": timezone.now()}
    )
    if is_new and not is_first:
        facts = {"device": client_name(user_agent), "ip": request.META.get("REMOTE_ADDR") or "?"}
        notify(user.pk, NoticeEvent.NEW_DEVICE, facts, f"new-device:{client.pk}")
