"""Whom the owner of a session looks at: read by pages and by sockets; begun and ended in viewing.py."""

from dataclasses import dataclass
from typing import Final

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from apps.auth.models import User
from apps.common.clock import now_us

RIGHT: Final = "accounts.view_as_user"
# In the session: whom its owner looks at, and until when, seconds since 1970.
VIEWING: Final = "viewing"


@dataclass(frozen=True, slots=True)
class Viewing:
    """Who is looked at, and until when."""

    user: User
    # Seconds since 1970, UTC.
    until_s: int


def viewing_of(*, session: SessionBase, viewer: User) -> Viewing | None:
    """Return whom the owner of a session looks at now; None if nobody, or if the time or the right is over."""
    wish = session.get(VIEWING)
    if wish is None or wish["until"] <= now_us() // 1_000_000 or not may_view(viewer):
        return None
    user = User.objects.filter(pk=wish["user"], is_active=True, is_staff=False).first()
    return None if user is None else Viewing(user, wish["until"])


def may_view(viewer: User) -> bool:
    """Return whether this person may look at others."""
    return viewer.is_staff and viewer.has_perm(RIGHT)


def viewer_of(request: HttpRequest) -> User | None:
    """Return who looks at somebody else's pages by this request, None for everybody's own."""
    viewer: User | None = getattr(request, "viewer", None)
    return viewer
