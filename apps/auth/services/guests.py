"""Guests: who tries the platform before telling an address, and keeps what is theirs when they tell one.

A guest is a user like any other, with an address that leads nowhere, so that accounts, sessions and sockets need no second
kind of owner.
"""

import secrets
from typing import Final

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.auth.models import User
from apps.auth.services.users import address_verified
from apps.common.rate_limits import rate_limit_require, rate_limits_parse

# Reserved for ever: no mail leaves for it (RFC 2606).
GUEST_DOMAIN: Final = "guest.invalid"


def guest_create(*, ip: str | None) -> User:
    """Make a guest.

    Errors: ServiceError RATE_LIMITED per network address; UNAVAILABLE if nothing can be counted.
    """
    rate_limit_require(
        key=f"guest:ip:{ip}",
        limits=rate_limits_parse(settings.GUEST_LIMITS_PER_IP),
        what="demos were started from your network",
    )
    return User.objects.create_user(
        f"guest-{secrets.token_hex(8)}@{GUEST_DOMAIN}", name="Guest", is_guest=True
    )


def guest_keep(*, guest_id: int | None, email: str) -> User | None:
    """Put the address that has just been proved on a guest; None if there is no guest, or the address is somebody's.

    What the guest owns stays, under the same user. Every session of the guest ends, so whoever else holds one is out.
    """
    if guest_id is None or User.objects.filter(email=email).exists():
        return None
    guest = User.objects.select_for_update().filter(pk=guest_id, is_guest=True).first()
    if guest is None or not guest.is_active:
        return None
    guest.email, guest.name, guest.is_guest = email, "", False
    guest.set_unusable_password()
    try:
        with transaction.atomic():
            guest.save(update_fields=["email", "name", "is_guest", "password"])
    except IntegrityError:
        # Somebody has become the user of that address between our look and our write.
        return None
    address_verified(user=guest)
    return guest
