"""Shapes of the sign-in part of the public contract, in and out."""

# ruff: noqa: N815 - field names are those of the contract.

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from typing_extensions import override

from apps.auth.choices import KeyAlgorithm
from apps.auth.models import ApiKey, Device
from apps.auth.selectors import session_digest_of
from apps.common.serializers import StrictSerializer, TypedSerializer

_SCOPES = ("read", "trade")
_PIN = r"\A[0-9]{4,6}\Z"
_PIN_ERROR: dict[str, Any] = {"invalid": "expected 4 to 6 digits"}


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "pattern": "^[0-9]{4,6}$"},
            {"type": "integer", "minimum": 1_000, "maximum": 999_999},
        ]
    }
)
class PinField(serializers.RegexField):
    """A PIN as text; old clients send those without a leading zero as numbers."""

    takes_numbers = True

    def __init__(self, **options: Any) -> None:
        super().__init__(_PIN, trim_whitespace=False, error_messages=_PIN_ERROR, **options)

    @override
    def to_internal_value(self, data: Any) -> str:
        # 1234.0 is the same whole number as 1234.
        is_whole = isinstance(data, Decimal) and data == data.to_integral_value()
        return super().to_internal_value(str(int(data)) if is_whole else data)


class LoginSerializer(TypedSerializer):
    """Who wants to sign in."""

    email = serializers.EmailField(max_length=254)
    # Where the page of the link leads to; anything but a path on this site is ignored.
    next = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)


class LoginSentSerializer(serializers.Serializer[Any]):
    """What everybody is told who wants to sign in."""

    message = serializers.CharField()


class VerifyQuerySerializer(TypedSerializer):
    """The link's token and, where the link needs it, the code of the same mail."""

    token = serializers.CharField(max_length=128, help_text="The token of the link.")
    code = serializers.CharField(
        max_length=16,
        required=False,
        default="",
        help_text="The code of the mail, if a browser asked for the link.",
    )
    factor = serializers.CharField(
        max_length=16,
        required=False,
        default="",
        help_text="The code of the second factor, if the person has one.",
    )


class UserSerializer(serializers.Serializer[Any]):
    """A user, as the contract shows one."""

    id = serializers.IntegerField()
    email = serializers.EmailField()
    name = serializers.CharField()
    isStaff = serializers.BooleanField(source="is_staff")
    isGuest = serializers.BooleanField(source="is_guest")


class ClientSessionSerializer(serializers.Serializer[Any]):
    """What a client gets when it signs in or refreshes its tokens."""

    accessToken = serializers.CharField(source="access_token")
    expiresAt = serializers.DateTimeField(source="expires_at", help_text="Of the access token.")
    refreshToken = serializers.CharField(source="refresh_token")
    refreshExpiresAt = serializers.DateTimeField(source="refresh_expires_at")
    user = UserSerializer()


class UserStatusSerializer(serializers.Serializer[Any]):
    """Whether the sender is signed in, as whom, and until when."""

    user = UserSerializer()
    status = serializers.ChoiceField(choices=["active"])
    sessionValid = serializers.BooleanField()
    expiresAt = serializers.DateTimeField()


class RefreshSerializer(StrictSerializer):
    """The refresh token to use; it works once."""

    refreshToken = serializers.CharField(max_length=128)


class PinSerializer(StrictSerializer):
    """The new PIN of this device, and the present one where it has one."""

    pin = PinField()
    currentPin = PinField(required=False, default="", allow_blank=True)


class PinCheckSerializer(StrictSerializer):
    """The PIN of this device."""

    pin = PinField()


class PinStateSerializer(StrictSerializer):
    """Whether this device has a PIN."""

    pinSet = serializers.BooleanField()


class DeviceSerializer(StrictSerializer):
    """One client that is signed in."""

    id = serializers.IntegerField()
    name = serializers.CharField(allow_blank=True)
    ip = serializers.CharField(allow_null=True)
    signedInAt = serializers.DateTimeField(source="created_at")
    seenAt = serializers.DateTimeField(source="seen_at")
    expiresAt = serializers.DateTimeField(source="expires_at")
    pinSet = serializers.SerializerMethodField()
    isCurrent = serializers.SerializerMethodField(help_text="Whether it is the one that asks.")

    def get_pinSet(self, device: Device) -> bool:  # noqa: N802 - DRF builds the name from the field's.
        return bool(device.pin_hash)

    def get_isCurrent(self, device: Device) -> bool:  # noqa: N802 - as above.
        return session_digest_of(device.session_key) == self.context["session_digest"]


class KeySerializer(StrictSerializer):
    """One API key, without what signs."""

    keyId = serializers.CharField(source="public_id")
    name = serializers.CharField()
    accountId = serializers.IntegerField(source="account_id")
    algorithm = serializers.ChoiceField(choices=KeyAlgorithm.values)
    scopes = serializers.SerializerMethodField()
    ipAddresses = serializers.ListField(source="networks", child=serializers.CharField())
    createdAt = serializers.DateTimeField(source="created_at")
    expiresAt = serializers.DateTimeField(source="expires_at", allow_null=True)
    usedAt = serializers.DateTimeField(source="used_at", allow_null=True)
    usedIp = serializers.CharField(source="used_ip", allow_null=True)

    def get_scopes(self, key: ApiKey) -> list[str]:
        return [scope for scope in _SCOPES if getattr(key, f"may_{scope}")]


class KeyMadeSerializer(KeySerializer):
    """A key that was just made."""

    secret = serializers.CharField(
        allow_null=True, help_text="Shown this once; null for Ed25519, whose secret is yours alone."
    )


class KeyWishSerializer(StrictSerializer):
    """What a new key shall be."""

    name = serializers.CharField(max_length=40)
    accountId = serializers.IntegerField(required=False, min_value=1, max_value=2**40 - 1)
    algorithm = serializers.ChoiceField(choices=KeyAlgorithm.values)
    publicKey = serializers.CharField(
        max_length=64, required=False, default="", help_text="Ed25519: its 32 bytes in base64."
    )
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=_SCOPES), min_length=1, max_length=2
    )
    ipAddresses = serializers.ListField(
        child=serializers.CharField(max_length=50), required=False, default=list, max_length=20
    )
    expiresAt = serializers.DateTimeField(required=False, allow_null=True)
    pin = serializers.CharField(max_length=6, required=False, default="", allow_blank=True)
