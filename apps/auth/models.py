"""Tables of people and of their sign-in links.

Sessions are Django's, verified addresses are allauth's. No secret is stored in a form that could be
used: a link's token and the browser's nonce as SHA-256, the code as a keyed digest.
"""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from typing_extensions import override

from apps.auth.choices import DeviceEnd, KeyAlgorithm, LinkOrigin


class UserManager(BaseUserManager["User"]):
    """Creates users that sign in by mail and therefore have no password."""

    use_in_migrations = False

    def create_user(self, email: str, **fields: Any) -> "User":
        user = self.model(email=email.strip().lower(), **fields)
        # Random and unusable. It also keys the session hash: setting a new one ends every session.
        user.set_unusable_password()
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, **fields: Any) -> "User":
        return self.create_user(email, **{**fields, "is_staff": True, "is_superuser": True})

    @override
    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person, known by one e-mail address in lower case."""

    # Where sign-in links go; lower case, so that one mailbox is one person.
    email = models.EmailField("e-mail", max_length=254, unique=True)
    # What the screen calls this person; may be empty.
    name = models.CharField("name", max_length=80, blank=True)
    # False closes the door: no sign-in, and every session ends within two seconds.
    is_active = models.BooleanField("active", default=True)
    # May enter the admin.
    is_staff = models.BooleanField("staff", default=False)
    # Came by the demo button and has told no address yet; the stored one leads nowhere.
    is_guest = models.BooleanField("guest", default=False)
    # First seen, UTC.
    joined_at = models.DateTimeField("joined", default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        db_table = "accounts_user"
        ordering = ("id",)
        permissions = (("view_as_user", "Can look at the site as a person sees it"),)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(email=Lower("email")), name="accounts_user_email_is_lower"
            ),
        )

    @override
    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name or self.email.partition("@")[0]


class LoginLink(models.Model):
    """One sign-in link and its fate; kept for 30 days as the record of who signed in from where.

    The address is stored, not the user: a link for an unknown address is made by the same work,
    and its first use creates the user.
    """

    # Whom the link signs in, lower case.
    email = models.EmailField("e-mail", max_length=254)
    # Who asked, and so what its use requires.
    origin = models.CharField("asked by", max_length=8, choices=LinkOrigin)
    # SHA-256 of the token, hexadecimal.
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    # Keyed digest of the six-digit code of the same mail, hexadecimal.
    code_digest = models.CharField(max_length=64, editable=False)
    # SHA-256 of the asking browser's cookie, hexadecimal; empty when no browser asked.
    nonce_sha256 = models.CharField(max_length=64, blank=True, editable=False)
    # Path on this site to open afterwards; empty means the usual one.
    next_path = models.CharField(max_length=200, blank=True, editable=False)
    # Codes tried so far; raised before a code is compared.
    code_attempts = models.PositiveSmallIntegerField("codes tried", default=0, editable=False)
    # Address that asked, when the network told one.
    asked_ip = models.GenericIPAddressField("asked from", null=True, editable=False)
    created_at = models.DateTimeField("made", db_index=True, editable=False)
    expires_at = models.DateTimeField("ends", editable=False)
    # When a newer link for the same address took its place.
    superseded_at = models.DateTimeField("superseded", null=True, editable=False)
    used_at = models.DateTimeField("used", null=True, editable=False)
    # Address that used it, when the network told one.
    used_ip = models.GenericIPAddressField("used from", null=True, editable=False)
    # Who was signed in; empty until used.
    user = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, related_name="login_links", editable=False
    )

    class Meta:
        db_table = "accounts_login_link"
        verbose_name = "sign-in link"
        ordering = ("-id",)
        indexes = (
            models.Index(
                "email",
                name="accounts_link_live_email",
                condition=models.Q(used_at=None, superseded_at=None),
            ),
            models.Index(
                "email",
                "used_ip",
                name="accounts_link_network",
                condition=models.Q(used_ip__isnull=False),
            ),
            models.Index(
                "nonce_sha256",
                name="accounts_link_nonce",
                condition=~models.Q(nonce_sha256=""),
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("created_at")),
                name="accounts_link_ends_after_start",
            ),
        )

    @override
    def __str__(self) -> str:
        return f"{self.email}, {self.get_origin_display()}, {self.created_at:%Y-%m-%d %H:%M:%S}"


class Device(models.Model):
    """A client that was signed in without cookies: the owner of a session, of a family of refresh tokens, and of a PIN."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="devices")
    # What the device calls itself: the start of its User-Agent.
    name = models.CharField(max_length=120, blank=True)
    # Key of the server session that its access tokens name; Django's own tables hold it in the open too.
    session_key = models.CharField(max_length=40, unique=True, editable=False)
    # Address that signed in, when the network told one.
    ip = models.GenericIPAddressField("signed in from", null=True, editable=False)
    created_at = models.DateTimeField("signed in", default=timezone.now, editable=False)
    # Last time that it refreshed its tokens.
    seen_at = models.DateTimeField("last seen", default=timezone.now, editable=False)
    # After this it has to sign in again, whatever it refreshes.
    expires_at = models.DateTimeField("ends", editable=False)
    ended_at = models.DateTimeField("ended", null=True, editable=False)
    end_reason = models.CharField(
        "ended by", max_length=16, choices=DeviceEnd, blank=True, editable=False
    )
    # Argon2 of the peppered PIN; empty without one.
    pin_hash = models.CharField(max_length=200, blank=True, editable=False)
    # Tries since the last right one; raised before a PIN is looked at.
    pin_attempts = models.PositiveSmallIntegerField("PINs tried", default=0, editable=False)
    # Until then no try is evaluated.
    pin_locked_until = models.DateTimeField("PIN locked until", null=True, editable=False)

    class Meta:
        db_table = "accounts_device"
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(ended_at=None, end_reason="")
                | (models.Q(ended_at__isnull=False) & ~models.Q(end_reason="")),
                name="accounts_device_end_has_reason",
            ),
        )

    @override
    def __str__(self) -> str:
        return f"{self.name or 'device'} {self.pk}"


class RefreshToken(models.Model):
    """One refresh token of a device's family; used once, and then followed by the one that its use made."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="refresh_tokens")
    # SHA-256 of the token, hexadecimal.
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    # What its successor is derived from, beside the token itself and a key of the server.
    salt = models.CharField(max_length=43, editable=False)
    created_at = models.DateTimeField("made", default=timezone.now, editable=False)
    expires_at = models.DateTimeField("ends", editable=False)
    used_at = models.DateTimeField("used", null=True, editable=False)

    class Meta:
        db_table = "accounts_refresh_token"
        ordering = ("-id",)
        constraints = (
            # At most one token of a family waits for its use.
            models.UniqueConstraint(
                fields=("device",),
                condition=models.Q(used_at=None),
                name="accounts_refresh_one_live",
            ),
        )

    @override
    def __str__(self) -> str:
        return str(self.pk)


class ApiKey(models.Model):
    """A key that signs requests for one trading account; the server can check signatures, and shows the secret once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    # Public name of the key, sent with every request.
    public_id = models.CharField(max_length=32, unique=True, editable=False)
    # What its owner calls it.
    name = models.CharField(max_length=40)
    # The only trading account that it may name.
    account_id = models.BigIntegerField("account", editable=False)
    algorithm = models.CharField(max_length=8, choices=KeyAlgorithm)
    # Ed25519: the public key, base64. Nothing else is known here.
    public_key = models.CharField(max_length=64, blank=True, editable=False)
    # HMAC: the secret, encrypted by the key ring of settings.API_KEY_KEYS.
    secret_encrypted = models.CharField(max_length=300, blank=True, editable=False)
    may_read = models.BooleanField("reads", default=True)
    may_trade = models.BooleanField("trades", default=False)
    # Networks that it may be used from, such as "203.0.113.0/24"; empty means any.
    networks = models.JSONField("networks", default=list, blank=True)
    created_at = models.DateTimeField("made", default=timezone.now, editable=False)
    expires_at = models.DateTimeField("ends", null=True)
    # To the minute.
    used_at = models.DateTimeField("last used", null=True, editable=False)
    used_ip = models.GenericIPAddressField("last used from", null=True, editable=False)
    revoked_at = models.DateTimeField("revoked", null=True, editable=False)

    class Meta:
        db_table = "accounts_api_key"
        verbose_name = "API key"
        verbose_name_plural = "API keys"
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=(models.Q(algorithm="ed25519") & ~models.Q(public_key=""))
                | (models.Q(algorithm="hmac") & ~models.Q(secret_encrypted="")),
                name="accounts_api_key_can_check",
            ),
        )

    @override
    def __str__(self) -> str:
        return self.public_id


class KnownClient(models.Model):
    """A kind of client that a person has signed in with, so that a new one can be told about."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    # SHA-256 of the User-Agent without its version numbers, hexadecimal.
    client_sha256 = models.CharField(max_length=64, editable=False)
    seen_at = models.DateTimeField("last signed in", editable=False)

    class Meta:
        db_table = "accounts_known_client"
        constraints = (
            models.UniqueConstraint(
                name="accounts_known_client_once", fields=("user", "client_sha256")
            ),
        )

    @override
    def __str__(self) -> str:
        return str(self.pk)


class EmailChange(models.Model):
    """A person's former address; kept as long as the person, so that staff can undo a theft."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    old_email = models.EmailField("former address", max_length=254, editable=False)
    new_email = models.EmailField("new address", max_length=254, editable=False)
    ip = models.GenericIPAddressField("changed from", null=True, editable=False)
    changed_at = models.DateTimeField("changed", default=timezone.now, editable=False)

    class Meta:
        db_table = "accounts_email_change"
        ordering = ("-id",)

    @override
    def __str__(self) -> str:
        return str(self.pk)
