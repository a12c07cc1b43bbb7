"""Makes sign-in links and uses them up, each at most once.

What a link needs beside itself depends on who asked for it (LinkOrigin):

    asked by   used by a JSON client        used on a page
    browser    its cookie, or the code      its cookie, or the code
    client     nothing                      its cookie, or the code
    console    the same machine             the same machine

So a link that leaks from a log or a forwarded mail opens nothing in another browser, and whoever
asked in a browser may type the code there without opening the link at all.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.auth import selectors
from apps.auth.choices import LinkOrigin
from apps.auth.models import LoginLink, User
from apps.auth.services.factors import factor_code_require
from apps.auth.services.guests import guest_keep
from apps.auth.services.link_secrets import (
    code_digest,
    code_matches,
    code_new,
    sha256_hex,
    sha256_matches,
    token_new,
)
from apps.auth.services.users import user_ensure_verified
from apps.common.audit import audit_note
from apps.common.errors import ServiceError

CODE_TRIES_MAX = 3
_LINKS_KEPT = timedelta(days=30)

# One statement decides who uses a link: the row lock lines parallel uses up, and the condition is
# checked again by each of them after the one before has committed.
_USE = """
UPDATE accounts_login_link SET used_at = %(now)s, used_ip = %(ip)s
 WHERE id = %(id)s AND used_at IS NULL AND superseded_at IS NULL AND expires_at > %(now)s
RETURNING *
"""
# The try is counted before the code is compared, so parallel guesses cannot share one try.
_COUNT_TRY = """
UPDATE accounts_login_link SET code_attempts = code_attempts + 1
 WHERE id = %(id)s AND code_attempts < %(tries)s
RETURNING *
"""


class LinkError(ServiceError):
    """A sign-in link or its code cannot be used; the code says why."""


@dataclass(frozen=True, slots=True)
class IssuedLink:
    """A new link; the only moment at which its secrets are known."""

    token: str
    # Six digits.
    code: str
    # UTC.
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Presence:
    """What the one who uses a link shows beside it."""

    # The cookie of the browser, empty without one.
    nonce: str
    # Six digits as typed, empty if none.
    code: str
    # Whether a page is used; JSON clients are the other kind.
    is_page: bool
    # Whether the request came from this very machine, through no proxy.
    is_local: bool
    # Address of the network, None if it has none.
    ip: str | None
    # The guest whose session the browser holds, None without one.
    guest_id: int | None = None


@dataclass(frozen=True, slots=True)
class LinkPreview:
    """What a page may show about a link that has not been used yet."""

    # The address with most of its name hidden.
    email_masked: str
    # Whether this browser must show the code of the mail.
    needs_code: bool


@dataclass(frozen=True, slots=True)
class UsedLink:
    """The result of a use: who is to be signed in, and where to go then."""

    user: User
    # Path on this site, empty for the usual one.
    next_path: str


def login_link_issue(
    *,
    email: str,
    origin: LinkOrigin,
    nonce_sha256: str = "",
    next_path: str = "",
    asked_ip: str | None = None,
) -> IssuedLink:
    """Make a link for an address, known or not; older links of the address end.

    Links that are older than 30 days are forgotten on the way.
    """
    email = email.strip().lower()
    token, code, now = token_new(), code_new(), timezone.now()
    token_sha256 = sha256_hex(token)
    expires_at = now + timedelta(seconds=settings.LOGIN_LINK_SECONDS)
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Two links made at once would not see, and so not end, each other.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [email])
        LoginLink.objects.filter(email=email, used_at=None, superseded_at=None).update(
            superseded_at=now
        )
        LoginLink.objects.create(
            email=email,
            origin=origin,
            token_sha256=token_sha256,
            code_digest=code_digest(code=code, token_sha256=token_sha256),
            nonce_sha256=nonce_sha256,
            next_path=next_path,
            asked_ip=asked_ip,
            created_at=now,
            expires_at=expires_at,
        )
        LoginLink.objects.filter(created_at__lt=now - _LINKS_KEPT).delete()
    return IssuedLink(token=token, code=code, expires_at=expires_at)


def login_link_preview(*, token: str, presence: Presence) -> LinkPreview:
    """Return what the page shows before its button is pressed; uses nothing up.

    Errors: LinkError, as `login_link_use` would answer.
    """
    link = _live_link(token=token)
    _require_place(link, presence)
    return LinkPreview(email_masked=_masked(link.email), needs_code=not _is_known(link, presence))


def login_link_use(*, token: str, presence: Presence, factor: str = "") -> UsedLink:
    """Use a link up and return whom it signs in.

    ``factor`` is the code of the second factor of a client without pages; browsers are asked for it on the next page.

    Errors: LinkError LINK_INVALID, LINK_USED, LINK_SUPERSEDED, LINK_EXPIRED, LINK_LOCAL_ONLY,
    LINK_NEEDS_CODE, CODE_INVALID, CODE_TRIES_EXCEEDED, USER_INACTIVE; those of factor_code_require.
    """
    link = _live_link(token=token)
    _require_place(link, presence)
    if not _is_known(link, presence):
        if not presence.code:
            raise LinkError(
                "LINK_NEEDS_CODE",
                _("this link was asked for by another browser: add the six-digit code of its mail"),
                http_status=403,
            )
        _require_code(link, presence.code)
    if not presence.is_page:
        # Before its use, so that a client that did not know can ask its owner and come again.
        user = selectors.user_by_email(email=link.email)
        if user is not None:
            factor_code_require(user=user, code=factor)
    return _use(link, presence)


def login_code_use(*, presence: Presence) -> UsedLink:
    """Use up the newest link that this browser asked for, by the code of its mail.

    Errors: LinkError CODE_INVALID (also if this browser has asked for none), LINK_USED,
    LINK_SUPERSEDED, LINK_EXPIRED, CODE_TRIES_EXCEEDED, USER_INACTIVE.
    """
    link = (
        selectors.login_link_by_nonce(nonce_sha256=sha256_hex(presence.nonce))
        if presence.nonce
        else None
    )
    if link is None:
        raise _code_invalid()
    _require_alive(link)
    _require_code(link, presence.code)
    return _use(link, presence)


def _live_link(*, token: str) -> LoginLink:
    link = selectors.login_link_by_token(token_sha256=sha256_hex(token))
    if link is None:
        raise LinkError(
            "LINK_INVALID", _("no sign-in link has this token: ask for a new one"), http_status=400
        )
    _require_alive(link)
    return link


def _require_alive(link: LoginLink) -> None:
    if link.used_at is not None:
        raise LinkError(
            "LINK_USED", _("this sign-in link has been used: ask for a new one"), http_status=410
        )
    if link.superseded_at is not None:
        raise LinkError(
            "LINK_SUPERSEDED",
            _("a newer sign-in link was asked for: use that one, or ask for another"),
            http_status=410,
        )
    if link.expires_at <= timezone.now():
        raise LinkError(
            "LINK_EXPIRED",
            _("sign-in links end after %(minutes)s minutes: ask for a new one")
            % {"minutes": settings.LOGIN_LINK_SECONDS // 60},
            http_status=410,
        )


def _require_place(link: LoginLink, presence: Presence) -> None:
    if link.origin == LinkOrigin.CONSOLE and not presence.is_local:
        raise LinkError(
            "LINK_LOCAL_ONLY",
            _("this link works only on the machine that printed it: ask for a mail instead"),
            http_status=403,
        )


def _is_known(link: LoginLink, presence: Presence) -> bool:
    """Return whether the link alone is enough here; see the table at the top."""
    if link.origin == LinkOrigin.CONSOLE:
        return True
    if link.origin == LinkOrigin.CLIENT and not presence.is_page:
        return True
    return sha256_matches(text=presence.nonce, digest=link.nonce_sha256)


def _code_invalid() -> LinkError:
    return LinkError(
        "CODE_INVALID", _("this is not the six-digit code of the newest mail"), http_status=400
    )


def _require_code(link: LoginLink, code: str) -> None:
    counted = list(LoginLink.objects.raw(_COUNT_TRY, {"id": link.pk, "tries": CODE_TRIES_MAX}))
    if not counted:
        raise LinkError(
            "CODE_TRIES_EXCEEDED",
            _("%(count)s wrong codes were tried: ask for a new link") % {"count": CODE_TRIES_MAX},
            http_status=403,
        )
    if not code_matches(code=code, token_sha256=link.token_sha256, digest=link.code_digest):
        audit_note("sign_in_failed", actor_id=link.user_id, link=str(link.pk), why="code")
        raise _code_invalid()


def _use(link: LoginLink, presence: Presence) -> UsedLink:
    arguments = {"id": link.pk, "now": timezone.now(), "ip": presence.ip}
    with transaction.atomic():
        user = None
        for used in LoginLink.objects.raw(_USE, arguments):
            user = guest_keep(guest_id=presence.guest_id, email=used.email)
            user = user or user_ensure_verified(email=used.email)
            LoginLink.objects.filter(pk=used.pk).update(user=user)
    if user is None:
        # Somebody was faster between our look and our use; say what has become of the link.
        link.refresh_from_db()
        _require_alive(link)
        raise LinkError(
            "LINK_USED", "this sign-in link has been used: ask for a new one", http_status=410
        )
    if not user.is_active:
        raise LinkError(
            "USER_INACTIVE", "this user is closed: write to the support", http_status=403
        )
    return UsedLink(user=user, next_path=link.next_path)


def _masked(email: str) -> str:
    """Return `alice@example.com` as `a***@example.com`."""
    name, _, domain = email.partition("@")
    return f"{name[:1]}***@{domain}"
