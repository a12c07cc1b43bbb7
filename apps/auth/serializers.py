"""Shapes of the sign-in part of the public contract, in and out."""

from typing import Any

from rest_framework import serializers


class LoginSerializer(serializers.Serializer[Any]):
    """Who wants to sign in."""

    email = serializers.EmailField(max_length=254)
    # Where the page of the link leads to; anything but a path on this site is ignored.
    next = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)


class LoginSentSerializer(serializers.Serializer[Any]):
    """What everybody is told who wants to sign in."""

    message = serializers.CharField()


class VerifyQuerySerializer(serializers.Serializer[Any]):
    """The link's token and, where the link needs it, the code of the same mail."""

    token = serializers.CharField(max_length=128)
    code = serializers.CharField(max_length=16, required=False, default="")


class UserSerializer(serializers.Serializer[Any]):
    """A user, as the contract shows one."""

    id = serializers.IntegerField()
    email = serializers.EmailField()
    name = serializers.CharField()
    isStaff = serializers.BooleanField(source="is_staff")  # noqa: N815 - a name of the contract.
    isGuest = serializers.BooleanField(source="is_guest")  # noqa: N815 - a name of the contract.


class ClientSessionSerializer(serializers.Serializer[Any]):
    """What a client gets when it signs in."""

    accessToken = serializers.CharField(source="access_token")  # noqa: N815 - a name of the contract.
    expiresAt = serializers.DateTimeField(source="expires_at")  # noqa: N815 - a name of the contract.
    user = UserSerializer()


class UserStatusSerializer(serializers.Serializer[Any]):
    """Whether the sender is signed in, as whom, and until when."""

    user = UserSerializer()
    status = serializers.ChoiceField(choices=["active"])
    sessionValid = serializers.BooleanField()  # noqa: N815 - a name of the contract.
    expiresAt = serializers.DateTimeField()  # noqa: N815 - a name of the contract.
