"""Answers where no view of ours was reached: pages for people, the envelope for programs under /api/.

Django calls these; the pages are templates/<status>.html, and failures inside REST views take exception_handler.py.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views import defaults

from apps.common.envelope import failure

_API = "/api/"

_Page = Callable[..., HttpResponseBase]


def _answer(page: _Page, status: int, code: str, message: str) -> Callable[..., HttpResponseBase]:
    def view(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if request.path.startswith(_API):
            return JsonResponse(failure(status=status, message=message, code=code), status=status)
        return page(request, *args, **kwargs)

    return view


bad_request = _answer(defaults.bad_request, 400, "MALFORMED", "the request is not valid")
permission_denied = _answer(
    defaults.permission_denied, 403, "PERMISSION_DENIED", "this is not allowed for you"
)
page_not_found = _answer(
    defaults.page_not_found, 404, "NOT_FOUND", "there is no such address; see /api/docs/"
)
server_error = _answer(
    defaults.server_error,
    500,
    "INTERNAL",
    "something failed on our side; nothing is known about the outcome of this request",
)
