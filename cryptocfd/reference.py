"""The pages that draw the OpenAPI document: Swagger UI and Redoc, from files of this installation alone."""

import functools
from pathlib import Path

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.cache import cache_control
from drf_spectacular.views import (
    SpectacularAPIView,
    SpectacularRedocView,
    SpectacularSwaggerSplitView,
)

_BUNDLE = "drf_spectacular_sidecar/redoc/bundles/redoc.standalone.js"
# Redoc fetches its maker's logo from the maker; here it is a picture of nothing.
_REMOTE_LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg"
_NO_LOGO = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
# Redoc writes its styles into the page and works in a worker made of text; no other page may.
_redoc_policy = csp_replace(
    {
        "style-src": [SELF, UNSAFE_INLINE],
        "script-src": [SELF],
        "worker-src": ["blob:"],
        "img-src": [SELF, "data:"],
    }
)


@functools.cache
def redoc_bundle() -> bytes:
    """Return Redoc's program without the address of the remote logo."""
    found = finders.find(_BUNDLE)
    return Path(str(found)).read_bytes().replace(_REMOTE_LOGO.encode(), _NO_LOGO.encode())


@cache_control(public=True, max_age=24 * 3600)
def redoc_bundle_view(_request: HttpRequest) -> HttpResponse:
    """Serve Redoc's program."""
    return HttpResponse(redoc_bundle(), content_type="text/javascript")


urlpatterns = [
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path(
        "api/redoc/", _redoc_policy(SpectacularRedocView.as_view(url_name="schema")), name="redoc"
    ),
    path("api/redoc/redoc.js", redoc_bundle_view, name="redoc-bundle"),
]
