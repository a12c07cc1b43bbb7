"""The HTTP routes: the apps' own lists are put together here, and nothing is handled here."""

from django.contrib import admin
from django.urls import include, path

from apps.auth.urls import page_urlpatterns as auth_pages
from apps.market.urls import page_urlpatterns as market_pages
from apps.notifications.urls import page_urlpatterns as notification_pages
from apps.profile.urls import page_urlpatterns as profile_pages
from cryptocfd.api_errors import ErrorsView
from cryptocfd.api_root import ApiRootView
from cryptocfd.csp_reports import urlpatterns as csp_routes
from cryptocfd.figures import urlpatterns as figures_routes
from cryptocfd.health import urlpatterns as health_routes
from cryptocfd.pages import page_urlpatterns as site_pages
from cryptocfd.reference import urlpatterns as reference_routes

urlpatterns = [
    *health_routes,
    *figures_routes,
    *csp_routes,
    path("api/v1/", ApiRootView.as_view(), name="api-root"),
    path("api/v1/", include("apps.auth.urls")),
    path("api/v1/", include("apps.market.urls")),
    path("api/v1/", include("apps.profile.urls")),
    path("api/v1/", include("apps.trade.urls")),
    # Before the admin, whose last route takes every address below its own; sign-in replaces some of them.
    path("", include(auth_pages)),
    path("", include(profile_pages)),
    path("", include(notification_pages)),
    path("", include(site_pages)),
    path("", include(market_pages)),
    path("admin/", admin.site.urls),
    path("api/errors", ErrorsView.as_view(), name="errors"),
    *reference_routes,
]

handler400 = "cryptocfd.error_views.bad_request"
handler403 = "cryptocfd.error_views.permission_denied"
handler404 = "cryptocfd.error_views.page_not_found"
handler500 = "cryptocfd.error_views.server_error"
