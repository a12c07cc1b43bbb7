"""The routes of these pages, below /admin/office/; the admin's site takes them in, so its door guards them."""

from django.contrib.admin import AdminSite
from django.urls import URLPattern, path

from cryptocfd.office.exposure import exposure_page
from cryptocfd.office.health import health_page
from cryptocfd.office.ladder import ladder_page
from cryptocfd.office.page import Page
from cryptocfd.office.results import results_page

_PAGES: dict[str, Page] = {
    "exposure": exposure_page,
    "results": results_page,
    "ladder": ladder_page,
    "health": health_page,
}


def office_urls(site: AdminSite) -> list[URLPattern]:
    """Return the routes, each behind the door of the admin."""
    return [
        path(f"office/{name}/", site.admin_view(page), name=f"office-{name}")
        for name, page in _PAGES.items()
    ]
