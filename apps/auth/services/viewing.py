"""Lets staff look at the site as a person sees it: in their own session, for half an hour, and without changing anything.

The session stays the staff member's: it ends with it, needs its rights and second factor, and never stands among the person's own
devices. What may be asked meanwhile is decided where requests come in (views/viewing.py) and by sockets, from `viewer_id`.
"""

from typing import Final

from django.http import HttpRequest

from apps.auth.models import User
from apps.auth.services.revocations import sessions_forget
from apps.auth.services.viewed import VIEWING, may_view
from apps.common.audit import audit_note
from apps.common.clock import now_us
from apps.common.errors import ServiceError

VIEW_SECONDS: Final = 1800


def viewing_begin(*, request: HttpRequest, viewer: User, user_id: int, reason: str) -> User:
    """Let this browser's session look at a person's pages, and write down who, whom and why.

    Errors: ServiceError VIEW_FORBIDDEN.
    """
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None or user.is_staff or not may_view(viewer):
        raise ServiceError(
            "VIEW_FORBIDDEN",
            "staff with the right to it may look at people whose door is open and who are no staff",
            http_status=403,
        )
    until_s = now_us() // 1_000_000 + VIEW_SECONDS
    request.session[VIEWING] = {"user": user.pk, "until": until_s}
    request.session.save()
    audit_note("view_begin", actor_id=viewer.pk, user=str(user.pk), reason=reason)
    sessions_forget(user_id=viewer.pk)
    return user


def viewing_end(*, request: HttpRequest, viewer: User) -> None:
    """Let this browser's session be its owner's again."""
    ended = request.session.pop(VIEWING, None)
    if ended is not None:
        request.session.save()
        audit_note("view_end", actor_id=viewer.pk, user=str(ended["user"]))
        sessions_forget(user_id=viewer.pk)


def viewing_refuse_note(*, viewer_id: int, user_id: int, what: str) -> None:
    """Write down that somebody who only looks has tried to do more."""
    audit_note("view_refused", actor_id=viewer_id, user=str(user_id), what=what[:200])
