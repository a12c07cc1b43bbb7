"""The admin's own site: its door and its content policy. What it shows is in each app's admin.py."""

from collections.abc import Callable
from typing import Any

from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.conf import settings
from django.contrib.admin.apps import AdminConfig
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.urls import URLPattern
from django.utils.http import urlencode
from typing_extensions import override
from unfold.sites import UnfoldAdminSite

# Unfold runs on Alpine, which compiles the expressions of its templates, and it styles elements one by one. Only these
# pages get that freedom, and they are for staff; scripts still come from this site alone.
_POLICY = {"script-src": [SELF, UNSAFE_EVAL], "style-src": [SELF, UNSAFE_INLINE]}


def _staff_door(request: HttpRequest) -> str:
    # This module is imported while the apps are loaded, and models can be imported only after that.
    from apps.auth.facade import staff_door

    return staff_door(request)


class PlatformAdminSite(UnfoldAdminSite):
    """Unfold's site for people who sign in by mailed links, like everybody else, and have no password."""

    @override
    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        return csp_replace(_POLICY)(super().admin_view(view, cacheable))

    def extra_urls(self) -> list[URLPattern]:
        """Return the routes of our own pages, as Unfold asks for them."""
        # For the same reason as above.
        from cryptocfd.office.urls import office_urls

        return office_urls(self)

    @override
    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and not _staff_door(request)

    @override
    def login(
        self,
        request: HttpRequest,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if request.user.is_authenticated and not self.has_permission(request):
            if super().has_permission(request):
                return HttpResponseRedirect(_staff_door(request))
            raise PermissionDenied("The admin is for staff.")
        query = urlencode({"next": request.GET.get("next") or resolve_url("admin:index")})
        return HttpResponseRedirect(f"{resolve_url(settings.LOGIN_URL)}?{query}")

    @override
    def password_change(
        self,
        request: HttpRequest,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        raise Http404("Nobody has a password here.")


class PlatformAdminConfig(AdminConfig):
    """Puts the site above in the place of Django's."""

    default_site = "cryptocfd.admin_site.PlatformAdminSite"
