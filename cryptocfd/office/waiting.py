"""The first page of the back office: what waits for somebody of the staff, as far as who looks may see it."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from apps.common.read_only_admin import ReadOnlyAdmin


def front_page(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return the context of the first page with what waits, as Unfold asks for it."""
    return {**context, "waiting": _waiting(request)}


def _waiting(request: HttpRequest) -> list[dict[str, Any]]:
    rows = []
    for page in admin.site._registry.values():  # noqa: SLF001 - the site has no other list of them.
        if not isinstance(page, ReadOnlyAdmin) or not page.has_view_permission(request):
            continue
        waiting = page.waiting()
        if waiting is not None:
            way = reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_changelist")
            rows.append(
                {
                    "title": page.waiting_title,
                    "count": waiting.count(),
                    "way": f"{way}?{page.waiting_query}",
                }
            )
    return sorted(rows, key=lambda row: (not row["count"], row["title"]))
