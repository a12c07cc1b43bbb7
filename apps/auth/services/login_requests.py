"""Takes the wish to sign in: counts it against the limits and queues the mail.

Whether the address is known plays no part: the same work is done, and the worker makes the link, so
that its secrets are never in a queue.
"""

from dataclasses import dataclass

import django_rq
import redis
from django.conf import settings
from rq import Retry

from apps.auth.choices import LinkOrigin
from apps.auth.services.link_secrets import sha256_hex
from apps.common.errors import ServiceError
from apps.common.rate_limits import rate_limit_wait_us, rate_limits_parse

# By name, since tasks stand above services.
_MAIL_JOB = "apps.auth.tasks.login_mail_send"


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


class LoginLimitError(ServiceError):
    """Too many sign-in links were asked for from one network address."""


class LoginUnavailableError(ServiceError):
    """The queue or the counters cannot be reached."""


def login_request(*, wish: LoginWish) -> None:
    """Queue the mail with a sign-in link.

    An address that has had its share of mails gets no further one, and its last link stays valid;
    the caller cannot tell, since that would also tell whether somebody else asked for that address.
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
                f"too many sign-in links were asked for from your network: wait {wait_s} seconds",
                http_status=429,
                data={"retryAfterSeconds": wait_s},
                retry_after_s=wait_s,
            )
        if rate_limit_wait_us(
            key=f"login:address:{sha256_hex(email)}",
            limits=rate_limits_parse(settings.LOGIN_LIMITS_PER_ADDRESS),
        ):
            return
        django_rq.get_queue("default").enqueue(
            _MAIL_JOB,
            kwargs={
                "email": email,
                "origin": wish.origin.value,
                "nonce_sha256": sha256_hex(wish.nonce) if wish.nonce else "",
                "next_path": wish.next_path,
                "asked_ip": wish.ip,
            },
            # A mail that could not leave in time would only surprise.
            ttl=settings.LOGIN_LINK_SECONDS,
            retry=Retry(max=3),
            result_ttl=0,
            # rq's own description would write the address into its log.
            description="sign-in mail",
        )
    except redis.RedisError as error:
        raise LoginUnavailableError(
            "SERVICE_UNAVAILABLE",
            "sign-in is not available at the moment: try again in a minute",
            http_status=503,
        ) from error
