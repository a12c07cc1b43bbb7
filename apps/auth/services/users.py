"""Creates users: on the first use of a link, and the fixed cast of a fresh installation."""

from dataclasses import dataclass

from allauth.account.models import EmailAddress
from django.db import transaction

from apps.auth.models import User
from apps.auth.services.revocations import sessions_forget


@dataclass(frozen=True, slots=True)
class UserInfo:
    """One user, as other apps see it."""

    id: int
    # Lower case.
    email: str
    # What the screen calls this person; may be empty.
    name: str
    is_active: bool
    is_staff: bool
    # Has told no address yet.
    is_guest: bool = False


# Who is there after the first start: alice owns, bob is staff, charlie is nobody special.
_CAST = (
    ("alice@example.com", "Alice", False),
    ("bob@example.com", "Bob", True),
    ("charlie@example.com", "Charlie", False),
)


def user_info(user: User) -> UserInfo:
    """Return what other apps may know of a user."""
    return UserInfo(
        id=user.pk,
        email=user.email,
        name=user.name,
        is_active=user.is_active,
        is_staff=user.is_staff,
        is_guest=user.is_guest,
    )


@transaction.atomic
def user_ensure_verified(*, email: str) -> User:
    """Return the user of an address that has just been proved; create the user if unknown."""
    email = email.strip().lower()
    user = _user_ensure(email=email, name="", is_staff=False)
    address_verified(user=user)
    return user


def address_verified(*, user: User) -> None:
    """Note that the user's address has been proved."""
    address, created = EmailAddress.objects.get_or_create(
        user=user, email=user.email, defaults={"verified": True, "primary": True}
    )
    if not (created or address.verified):
        address.verified = True
        address.save(update_fields=["verified"])


def _user_ensure(*, email: str, name: str, is_staff: bool) -> User:
    draft = User(email=email)
    draft.set_unusable_password()
    user, _ = User.objects.get_or_create(
        email=email,
        defaults={
            "name": name,
            "is_staff": is_staff,
            "is_superuser": is_staff,
            "password": draft.password,
        },
    )
    return user


@transaction.atomic
def users_seed() -> list[UserInfo]:
    """Make sure that alice, bob (staff) and charlie exist, and return them in that order.

    Idempotent: what an operator has changed about one of them stays as it is.
    """
    seeded = []
    for email, name, is_staff in _CAST:
        user = _user_ensure(email=email, name=name, is_staff=is_staff)
        EmailAddress.objects.get_or_create(
            user=user, email=email, defaults={"verified": True, "primary": True}
        )
        seeded.append(user_info(user))
    return seeded


def user_sign_out_everywhere(*, user: User) -> None:
    """End every session and token of a user; all processes see it at once."""
    # Sessions carry a hash of this value, so a new random one fits none of them.
    user.set_unusable_password()
    user.save(update_fields=["password"])
    sessions_forget(user_id=user.pk)
