"""The list of all error codes, for programs and (by the browsable API) for people."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.envelope import success
from apps.common.error_catalogue import error_catalogue
from apps.common.openapi import enveloped
from apps.common.serializers import StrictSerializer
from apps.common.views import ContractView


class ErrorCodeSerializer(StrictSerializer):
    """One stable code."""

    code = serializers.CharField()
    statusCode = serializers.IntegerField(source="status")  # noqa: N815 - the contract's name.
    meanings = serializers.ListField(child=serializers.CharField())
    isRetryable = serializers.BooleanField(source="is_retryable")  # noqa: N815 - as above.
    isDecided = serializers.BooleanField(source="is_decided")  # noqa: N815 - as above.


class ErrorsView(ContractView):
    """Every error code with its status and meaning; docs/ERRORS.md says the same."""

    permission_classes = (AllowAny,)
    authentication_classes = ()

    @extend_schema(
        operation_id="errors",
        responses=enveloped(ErrorCodeSerializer(many=True), name="Errors", failures=()),
        tags=["root"],
    )
    def get(self, _request: Request) -> Response:
        return Response(success(ErrorCodeSerializer(error_catalogue(), many=True).data))
