"""Takes the wish to sign in: counts it against the limits and writes it into the outbox.

Whether the address is known plays no part, nor whether it has had its share of mails: the same row is written, and the worker
decides what becomes of it. So neither the answer nor its time tells anything.
"""

import logging
import secrets
from dataclasses import dataclass

import redis
from django.conf import settings
from django.utils.translation import gettext as _

from apps.auth import selectors
from apps.auth.choices import LinkOrigin
from apps.auth.services.link_secrets import sha256_hex
from apps.auth.services.login_mails import login_link_make
from apps.common.clock import now_us
from apps.common.errors import ServiceError
from apps.common.outbox import outbox_add
from apps.common.rate_limits import rate_limit_wait_us, rate_limits_parse

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoginWish:
    """One wish to sign in, as it came from outside."""

    # As typed; an address by its form.
    email: str
    # BROWSER or CLIENT.
    origin: LinkOrigin
    # The cookie that the asking browser will show again, empty without one.
    nonce: str
    # Path on this site to open afterwards, empty for the usual one.
    next_path: str
    # Address of the network, None if it has none.
    ip: str | None
    # Language of the mail to an address that has no account yet.
    language: str = "en"


class LoginLimitError(ServiceError):
    """Too many sign-in links were asked for from one network address."""


class LoginUnavailableError(ServiceError):
    """The counters cannot be reached."""


def login_request(*, wish: LoginWish) -> None:
    """Have a sign-in link mailed.

    An address that has had its share of mails gets no further one, and its last link stays valid;
    the caller cannot tell, since that would also tell whether somebody else asked for that address.
    A network from which the address has signed in before has a share of its own: strangers cannot use it up and so lock
    the owner out.
    Errors: LoginLimitError per network address; LoginUnavailableError if nothing can be counted.
    """
    email = wish.email.strip().lower()
    try:
        wait_us = rate_limit_wait_us(
            key=f"login:ip:{wish.ip}", limits=rate_limits_parse(settings.LOGIN_LIMITS_PER_IP)
        )
        if wait_us:
            wait_s = -(-wait_us // 1_000_000)
            raise LoginLimitError(
                "RATE_LIMITED",
                _(
                    "too many sign-in links were asked for from your network: wait %(seconds)s seconds"
                )
                % {"seconds": wait_s},
                http_status=429,
                data={"retryAfterSeconds": wait_s},
                retry_after_s=wait_s,
            )
        share = f"login:address:{sha256_hex(email)}"
        if selectors.network_is_known(email=email, ip=wish.ip):
            share = f"{share}:{wish.ip}"
        is_held_back = bool(
            rate_limit_wait_us(
                key=share,
                limits=rate_limits_parse(settings.LOGIN_LIMITS_PER_ADDRESS),
            )
        )
    except redis.RedisError as error:
        logger.warning("the counters cannot be reached", extra={"error": repr(error)})
        raise LoginUnavailableError(
            "UNAVAILABLE",
            _("sign-in is not available at the moment: try again in a minute"),
            http_status=503,
        ) from error
    name = f"sign-in-{secrets.token_hex(12)}"
    outbox_add(
        login_link_make,
        key=name,
        name=name,
        email=email,
        origin=wish.origin.value,
        nonce_sha256=sha256_hex(wish.nonce) if wish.nonce else "",
        next_path=wish.next_path,
        asked_ip=wish.ip,
        asked_at_us=now_us(),
        language=wish.language,
        is_held_back=is_held_back,
    )
