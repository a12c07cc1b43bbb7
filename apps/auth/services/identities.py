"""Answers "who is this?" for a token or a session key, fast enough for every order and every socket.

The signature of a token is checked each time. Whether the session behind it lives is read from
PostgreSQL and believed for two seconds by this process, so that hot paths need no ORM; signing out
is seen at once, here and, by revocations.py, in other processes.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Literal

from channels.db import database_sync_to_async
from django.utils import timezone
from typing_extensions import override

from apps.auth import selectors
from apps.auth.services.idle import is_awake
from apps.auth.services.tokens import AccessClaims, access_token_decode

SESSION_BELIEVED_SECONDS = 2
_CACHE_ENTRIES_MAX = 20_000


@dataclass(frozen=True, slots=True)
class AuthenticatedUser:
    """Who is signed in, and by which session; usable as `request.user` where no row is needed."""

    id: int
    # Lower case.
    email: str
    # What the screen calls this person; may be empty.
    name: str
    # May enter the admin.
    is_staff: bool
    # Names the session without giving it away.
    session_digest: str
    # When the session, or the token if earlier, ends: microseconds since 1970, UTC.
    expires_us: int
    # Has told no address yet.
    is_guest: bool = False

    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False
    is_active: ClassVar[bool] = True

    @property
    def pk(self) -> int:
        """Return the id under the name that Django's own users give it."""
        return self.id

    @override
    def __str__(self) -> str:
        return self.email


_MISSING: Final = "missing"


class SessionCache:
    """Remembers for two seconds who a session belongs to, or that it has ended."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[str, tuple[float, AuthenticatedUser | None]] = {}
        # Counts what was forgotten: an answer that was read before that is not remembered after it.
        self.forgotten = 0

    def get(self, session_key: str) -> AuthenticatedUser | Literal["missing"] | None:
        """Return the user, None for a session that has ended, "missing" if not remembered."""
        entry = self._entries.get(session_key)
        if entry is None or self._clock() >= entry[0]:
            return _MISSING
        return entry[1]

    def put(self, session_key: str, user: AuthenticatedUser | None, *, forgotten: int) -> None:
        """Remember an answer from now on, unless something was forgotten since its reading began with that count."""
        if forgotten != self.forgotten:
            return
        if len(self._entries) >= _CACHE_ENTRIES_MAX:
            # Everything is read again within two seconds anyway, so forgetting all is cheap.
            self._entries.clear()
        self._entries[session_key] = (self._clock() + SESSION_BELIEVED_SECONDS, user)

    def drop_user(self, user_id: int) -> None:
        """Forget the sessions of one user."""
        self.forgotten += 1
        # A copy, since other threads add entries meanwhile.
        for session_key, (_, user) in list(self._entries.items()):
            if user is not None and user.id == user_id:
                self._entries.pop(session_key, None)

    def clear(self) -> None:
        """Forget all sessions."""
        self.forgotten += 1
        self._entries.clear()


session_cache = SessionCache()


def _now_us() -> int:
    return int(timezone.now().timestamp() * 1_000_000)


def _session_load(session_key: str) -> AuthenticatedUser | None:
    forgotten = session_cache.forgotten
    session = selectors.session_store(session_key=session_key)
    user = selectors.session_user(session=session)
    if user is not None and not is_awake(session):
        user = None
    identity = None
    if user is not None:
        identity = AuthenticatedUser(
            id=user.pk,
            email=user.email,
            name=user.name,
            is_staff=user.is_staff,
            session_digest=selectors.session_digest_of(session_key),
            expires_us=int(session.get_expiry_date().timestamp() * 1_000_000),
            is_guest=user.is_guest,
        )
    session_cache.put(session_key, identity, forgotten=forgotten)
    return identity


def _alive(user: AuthenticatedUser | None) -> AuthenticatedUser | None:
    return user if user is not None and user.expires_us > _now_us() else None


def _bearer(claims: AccessClaims, user: AuthenticatedUser | None) -> AuthenticatedUser | None:
    if user is None or user.id != claims.user_id:
        return None
    return replace(user, expires_us=min(user.expires_us, claims.expires_us))


def user_by_session(session_key: str) -> AuthenticatedUser | None:
    """Return who a browser's session belongs to, None if it has ended; may read the database."""
    if not session_key:
        return None
    known = session_cache.get(session_key)
    return _alive(_session_load(session_key) if known == _MISSING else known)


def user_by_token(token: str) -> AuthenticatedUser | None:
    """Return who an access token speaks for, None if it is worth nothing; may read the database."""
    claims = access_token_decode(token)
    return None if claims is None else _bearer(claims, user_by_session(claims.session_key))


async def user_by_session_async(session_key: str) -> AuthenticatedUser | None:
    """Return the same as `user_by_session`; a remembered session costs no thread."""
    if not session_key:
        return None
    known = session_cache.get(session_key)
    if known == _MISSING:
        # Any thread will do: bound to one, all sockets would queue for the same thread.
        load = database_sync_to_async(_session_load, thread_sensitive=False)
        known = await load(session_key)
    return _alive(known)


def token_identity(token: str) -> Callable[[], Awaitable[AuthenticatedUser | None]]:
    """Return a question that can be asked again and again: who an access token speaks for, None once it is worth nothing.

    The signature is checked here, once: what was signed stays signed, while time and session are looked at with every question.
    """
    claims = access_token_decode(token)

    async def identify() -> AuthenticatedUser | None:
        if claims is None or claims.expires_us <= _now_us():
            return None
        return _bearer(claims, await user_by_session_async(claims.session_key))

    return identify
