"""Where requests of staff who look at a person's pages come in: they read what the person reads, and change nothing."""

from collections.abc import Callable
from typing import Any, Final, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views import View

from apps.auth.models import User
from apps.auth.services.viewed import viewer_of, viewing_of
from apps.auth.services.viewing import viewing_end, viewing_refuse_note
from apps.common.envelope import failure

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# What a person sees of their trading. Everything else is refused: settings, keys, factors, links, and whatever comes later.
_PAGES: Final = ("/trade", "/portfolio", "/go-live", "/help", "/licences", "/offline")
_API: Final = ("/api/v1/accounts", "/api/v1/balance", "/api/v1/trade", "/api/v1/candles")
_API_MARKET: Final = ("/api/v1/prices/", "/api/v1/supportedAssets")
_SITE: Final = ("/static/", "/assets/", "/udf/", "/figures", "/sw.js", "/manifest.webmanifest")
# They change nothing either: what an order would need, and what the browser tells of the page.
_READS_BY_POST: Final = frozenset({"/api/v1/trade/preview", settings.CSP_REPORT_PATH})
_SEEN: Final = (*_PAGES, *_API, *_API_MARKET, *_SITE)
# Where staff stay who they are.
_OWN: Final = "/admin/"
_WORDS: Final = (
    "you look at somebody else's account: nothing can be changed, and only its trading is shown"
)


class ViewingMiddleware:
    """Makes `request.user` the person who is looked at and `request.viewer` the one who looks; it must stand below IdleMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a request, or refuse it where somebody only looks."""
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or not request.user.is_authenticated:
            return self._get_response(request)
        path = request.path_info
        viewer = request.user
        viewing = viewing_of(session=request.session, viewer=viewer)
        if viewing is None or path.startswith(_OWN) or path == reverse("viewing-end"):
            return self._get_response(request)
        request.user = viewing.user
        request.viewer = viewer  # type: ignore[attr-defined] # what this middleware adds; viewer_of reads it.
        is_read = request.method in _READS and (path == "/" or path.startswith(_SEEN))
        if is_read or path in _READS_BY_POST:
            return self._get_response(request)
        viewing_refuse_note(
            viewer_id=viewer.pk, user_id=viewing.user.pk, what=f"{request.method} {path}"
        )
        if path.startswith("/api/"):
            body = failure(status=403, message=_WORDS, code="VIEW_ONLY")
            return JsonResponse(body, status=403)
        return render(request, "auth/view_only.html", status=403)


class ViewingEndView(View):
    """Ends the look; the form of the banner."""

    def post(self, request: HttpRequest) -> HttpResponse:
        viewer = cast(User, request.user)
        if viewer.is_authenticated:
            viewing_end(request=request, viewer=viewer)
        return redirect("admin:accounts_user_changelist")


def viewing_context(request: HttpRequest) -> dict[str, Any]:
    """Give every template the one who looks, for the banner."""
    return {"viewer": viewer_of(request)}
