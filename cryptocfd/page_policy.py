"""Where pages of libraries need more of a browser than our own do: styles inside the page, and never a script.

Our own pages keep the strict policy of the settings. What a path needs beyond it stands here once.
"""

from collections.abc import Callable
from typing import Final

from csp.constants import SELF, UNSAFE_INLINE
from django.http import HttpRequest, HttpResponseBase

_STYLES: Final = {"style-src": [SELF, UNSAFE_INLINE]}
# The list of jobs in the back office, and the REST interface where a person reads it.
_PREFIXES: Final = ("/admin/django_rq/", "/api/")


class PagePolicyMiddleware:
    """Allows styles in pages of django-rq and of the browsable API; it must stand below CSPMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        is_page = response.get("Content-Type", "").startswith("text/html")
        if is_page and request.path.startswith(_PREFIXES) and not hasattr(response, "_csp_replace"):
            # The attribute by which django-csp's own decorators speak to its middleware.
            response._csp_replace = _STYLES  # type: ignore[attr-defined]  # noqa: SLF001 - see above.
        return response
