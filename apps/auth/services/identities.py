"""Answers "who is this?" for a token or a session key, fast enough for every order and every socket.

The signature of a token is checked when this process sees it first: what was signed stays signed. Whether the session behind
it lives is read from PostgreSQL and believed for two seconds, so that hot paths need no ORM; signing out is seen at once,
here and, by revocations.py, in other processes.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from django.contrib.sessions.backends.base import SessionBase
from typing_extensions import override

from apps.auth import selectors
from apps.auth.models import User
from apps.auth.services.idle import is_awake
from apps.auth.services.tokens import AccessClaims, access_token_decode
from apps.auth.services.viewed import viewing_of
from apps.common.believed import Believed
from apps.common.clock import now_us

# A session in use is looked at in full, as Django does, at the latest after that long; between, only whether its rows have changed.
_FULL_CHECK_US: Final = 30_000_000
_TOKENS_MAX: Final = 20_000

Identify = Callable[[], Awaitable["AuthenticatedUser | None"]]


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
    # The member of the staff who looks at this person's account and may change nothing; 0 for the person.
    viewer_id: int = 0

    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False
    is_active: ClassVar[bool] = True

    @property
    def pk(self) -> int:
        """Return the id under the name that Django's own users give it."""
        return self.id

    @property
    def session_owner_id(self) -> int:
        """Return who has signed in: this person, or the member of the staff who looks at this person's account."""
        return self.viewer_id or self.id

    @override
    def __str__(self) -> str:
        return self.email


@dataclass(frozen=True, slots=True)
class _Session:
    """What came of looking at a session in full, and the rows that it came from."""

    # None: it has ended.
    user: AuthenticatedUser | None
    row: selectors.Row | None = None
    user_row: selectors.Row | None = None
    checked_us: int = 0


def _sessions_read(keys: Iterable[str], known: Mapping[str, _Session]) -> dict[str, _Session]:
    """Look at sessions: those whose rows are as they were stay what they were, the others are checked in full."""
    # Read before any check, so that a change between the two is seen as one next time.
    rows = selectors.session_rows(session_keys=keys)
    users = {before.user.id for before in known.values() if before.user is not None}
    user_rows = selectors.user_rows(user_ids=users) if users else {}
    now = now_us()

    def is_same(before: _Session | None, row: selectors.Row | None) -> bool:
        return (
            before is not None
            and before.user is not None
            # Who looks at somebody else needs rights, which no row compared here shows.
            and not before.user.viewer_id
            and before.row == row
            and before.user_row == user_rows.get(before.user.id)
            and now - before.checked_us < _FULL_CHECK_US
        )

    found = {}
    for key in keys:
        row = rows.get(key)
        found[key] = known[key] if is_same(known.get(key), row) else _session_check(key, row, now)
    return found


def _session_check(session_key: str, row: selectors.Row | None, now: int) -> _Session:
    session = selectors.session_store(session_key=session_key)
    user = selectors.session_user(session=session) if row is not None else None
    if user is None or not is_awake(session):
        return _Session(None)
    identity = _identity(session, session_key, user)
    return _Session(identity, row, selectors.user_row(user), now)


def _identity(session: SessionBase, session_key: str, user: User) -> AuthenticatedUser:
    expires_us = int(session.get_expiry_date().timestamp() * 1_000_000)
    viewing = viewing_of(session=session, viewer=user)
    shown = user if viewing is None else viewing.user
    return AuthenticatedUser(
        id=shown.pk,
        email=shown.email,
        name=shown.name,
        is_staff=shown.is_staff,
        session_digest=selectors.session_digest_of(session_key),
        expires_us=expires_us if viewing is None else min(expires_us, viewing.until_s * 1_000_000),
        is_guest=shown.is_guest,
        viewer_id=0 if viewing is None else user.pk,
    )


session_cache = Believed(_sessions_read)


def sessions_of_user_forget(user_id: int) -> None:
    """Look at the sessions of one user anew when they are used next."""
    session_cache.forget_where(
        lambda session: (
            session.user is not None and user_id in {session.user.id, session.user.viewer_id}
        )
    )


def _alive(user: AuthenticatedUser | None) -> AuthenticatedUser | None:
    return user if user is not None and user.expires_us > now_us() else None


def user_by_session(session_key: str) -> AuthenticatedUser | None:
    """Return who a browser's session belongs to, None if it has ended; may read the database."""
    return _alive(session_cache.get(session_key).user) if session_key else None


def user_by_token(token: str) -> AuthenticatedUser | None:
    """Return who an access token speaks for, None if it is worth nothing; may read the database."""
    bearer = _bearer_of(token)
    if bearer is None or bearer.has_ended:
        return None
    return bearer.speaks_for(user_by_session(bearer.claims.session_key))


async def user_by_session_async(session_key: str) -> AuthenticatedUser | None:
    """Return the same as `user_by_session`; a remembered session costs no thread."""
    return _alive((await session_cache.get_async(session_key)).user) if session_key else None


def token_identity(token: str) -> Identify:
    """Return a question that can be asked again and again: who an access token speaks for, None once it is worth nothing.

    The signature is checked once, and time and session are looked at with every question.
    """
    return _bearer_of(token) or _nobody


async def _nobody() -> None:
    return None


class _Bearer:
    """A token whose signature was good."""

    __slots__ = ("_last", "claims")

    def __init__(self, claims: AccessClaims) -> None:
        self.claims = claims
        # The user of its session when it was asked last, and what that means for the token; one value, since threads share it.
        self._last: tuple[AuthenticatedUser, AuthenticatedUser] | None = None

    @property
    def has_ended(self) -> bool:
        return self.claims.expires_us <= now_us()

    def speaks_for(self, user: AuthenticatedUser | None) -> AuthenticatedUser | None:
        """Return whom the token speaks for, of the user of its session."""
        if user is None or user.id != self.claims.user_id:
            return None
        last = self._last
        if last is None or last[0] is not user:
            ends_us = min(user.expires_us, self.claims.expires_us)
            last = self._last = (user, replace(user, expires_us=ends_us))
        return last[1]

    async def __call__(self) -> AuthenticatedUser | None:
        key = self.claims.session_key
        # Each order asks, so what is remembered is taken without a coroutine more.
        session = (session_cache.recall(key) or await session_cache.get_async(key)) if key else None
        # Whom the token speaks for ends with the token or with the session, whichever comes first.
        return None if session is None else _alive(self.speaks_for(session.user))


_bearers: dict[str, _Bearer] = {}


def _bearer_of(token: str) -> _Bearer | None:
    bearer = _bearers.get(token)
    if bearer is None:
        claims = access_token_decode(token)
        if claims is None:
            return None
        if len(_bearers) >= _TOKENS_MAX:
            _bearers.clear()
        bearer = _bearers[token] = _Bearer(claims)
    return bearer
