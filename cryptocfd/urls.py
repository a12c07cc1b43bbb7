"""The HTTP routes: the apps' own lists are put together here, and nothing is handled here."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import (
    SpectacularAPIView,
    SpectacularRedocView,
    SpectacularSwaggerSplitView,
)

from apps.auth.urls import page_urlpatterns as auth_pages
from apps.market.urls import page_urlpatterns as market_pages
from cryptocfd.health import urlpatterns as health_routes
from cryptocfd.pages import page_urlpatterns as site_pages

urlpatterns = [
    *health_routes,
    path("api/v1/", include("apps.auth.urls")),
    path("api/v1/", include("apps.market.urls")),
    # Before the admin, whose last route takes every address below its own; sign-in replaces some of them.
    path("", include(auth_pages)),
    path("", include(site_pages)),
    path("", include(market_pages)),
    path("admin/queues/", include("django_rq.urls")),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("api/redoc/", SpectacularRedocView.as_view(url_name="schema"), name="redoc"),
]
