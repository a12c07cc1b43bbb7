"""What every view of the REST interface does before its own work."""

from collections.abc import Collection
from typing import Any, ClassVar

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView
from typing_extensions import override

from apps.common.serializers import parameters_require

_READS = frozenset({"GET", "HEAD"})
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class ContractView(APIView):
    """Refuses parameters of the address that nothing reads: a misspelt filter must not be an answer without one.

    A write takes none at all: `POST closeAll?symbol=BTC` would close everything.
    """

    # The parameters that a read takes; None: it checks them by a shape of its own.
    parameters: ClassVar[Collection[str] | None] = ()

    @override
    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        asked = request.query_params.get("format")
        known = [str(renderer.format) for renderer in self.get_renderers()]
        if asked and asked not in known and not force:
            # Else it would be an address that does not exist.
            text = f"expected one of {', '.join(known)}, found {asked!r:.42}"
            raise ValidationError({"format": [text]})
        return super().perform_content_negotiation(request, force)

    @override
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not hasattr(self, str(request.method).lower()):
            # Refused as a method in the next step, whatever parameters it has.
            return
        if request.method in _WRITES:
            parameters_require(request.query_params, ())
        elif request.method in _READS and self.parameters is not None:
            parameters_require(request.query_params, self.parameters)
