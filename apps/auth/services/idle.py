"""Ends the sessions of browsers that nobody uses any more: half an hour without a request and without an open socket.

A socket counts, since a trader who watches the market is there. Devices have lives of their own (devices.py) and are not asked.
"""

from typing import Final, cast

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore

from apps.common.clock import now_us

# In a browser's session: when it was used last, seconds since 1970. Sessions without it are not limited.
_SEEN_AT: Final = "seen_at"
# A session is written at most this often for it.
_TOUCH_SECONDS: Final = 60


def _now_s() -> int:
    return now_us() // 1_000_000


def idle_begin(session: SessionBase) -> None:
    """Begin to look at the use of a browser's session."""
    session[_SEEN_AT] = _now_s()


def is_awake(session: SessionBase) -> bool:
    """Return whether a session was used lately, and note that it is used now; one that was not has ended."""
    seen_at = session.get(_SEEN_AT)
    if seen_at is None:
        return True
    idle_s = _now_s() - seen_at
    if idle_s >= settings.SESSION_IDLE_SECONDS:
        session.flush()
        return False
    if idle_s >= _TOUCH_SECONDS:
        _touch(session)
    return True


def _touch(session: SessionBase) -> None:
    # Only if nobody has written meanwhile: a session is stored as a whole, and what another request has put in must not be lost.
    store = cast(SessionStore, session)
    row = store.model.objects.filter(pk=session.session_key).first()
    if row is not None:
        content = session.decode(row.session_data) | {_SEEN_AT: _now_s()}
        store.model.objects.filter(pk=row.pk, session_data=row.session_data).update(
            session_data=session.encode(content)
        )
