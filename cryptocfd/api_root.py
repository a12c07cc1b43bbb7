"""The root of the REST interface: tells that the server runs, which is all that old clients ask it."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.envelope import success
from apps.common.openapi import enveloped
from apps.common.views import ContractView


class ApiRootView(ContractView):
    """Tells that the server runs."""

    permission_classes = (AllowAny,)
    authentication_classes = ()

    @extend_schema(
        operation_id="root",
        responses=enveloped(serializers.CharField(), name="Running", failures=()),
        tags=["root"],
    )
    def get(self, _request: Request) -> Response:
        return Response(success("Server Running"))
