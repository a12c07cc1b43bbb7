"""What the pages of the back office share: who may see one, its frame, its file, and how old its figures are."""

import csv
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from apps.common.audit import audit_note
from apps.common.clock import datetime_from_us, now_us
from apps.trade.facade import HousePrice
from cryptocfd.office import words
from cryptocfd.office.readings import engines_read
from engine.values import AccountKind

Page = Callable[[HttpRequest], HttpResponse]

HOUSE: Final = "trade.view_house"
HEALTH: Final = "trade.view_health"
_FILE: Final = "csv"


def office_page(permission: str) -> Callable[[Page], Page]:
    """Let only members of the staff with a permission see a page; the admin's door has looked at who they are."""

    def wrap(page: Page) -> Page:
        @functools.wraps(page)
        @require_safe
        def guarded(request: HttpRequest) -> HttpResponse:
            if not request.user.has_perm(permission):
                raise PermissionDenied(permission)
            response = page(request)
            add_never_cache_headers(response)
            return response

        return guarded

    return wrap


def page_show(
    request: HttpRequest, name: str, *, title: str, context: dict[str, Any]
) -> HttpResponse:
    """Return a page in the frame of the admin; `name` is its route and its template."""
    frame = {
        **admin.site.each_context(request),
        "title": title,
        "is_fullwidth": "1",
        "file_query": urlencode({**request.GET.dict(), "format": _FILE}),
        "at": words.clock(now_us()),
    }
    return TemplateResponse(request, f"admin/office/{name}.html", {**frame, **context})


def is_file(request: HttpRequest) -> bool:
    """Return whether the figures are asked for as a file."""
    return request.GET.get("format") == _FILE


def file_answer(
    request: HttpRequest, name: str, head: Sequence[str], rows: Iterable[Sequence[object]]
) -> HttpResponse:
    """Return figures as CSV, exact and in the words of the interface; who took them is noted."""
    audit_note(
        "admin_export",
        actor_id=request.user.pk,
        ip=request.META.get("REMOTE_ADDR") or None,
        what=name,
    )
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    stamp = f"{datetime_from_us(now_us()):%Y%m%dT%H%M%SZ}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}-{stamp}.csv"'
    writer = csv.writer(response)
    writer.writerow(head)
    writer.writerows(rows)
    return response


def book_asked(request: HttpRequest) -> AccountKind | None:
    """Return the book that the address names, None for all or for one that there is not."""
    asked = request.GET.get("book")
    return next((kind for kind in AccountKind if kind.value == asked), None)


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the figures of a page are, in words."""

    positions: str
    prices: str
    # Whether somebody should look before believing them.
    is_late: bool


# Beyond it the page says so in colour: the projector's usual delay is a fifth of a second.
_LAG_MAX: Final = 500
_PRICE_AGE_US_MAX: Final = 60_000_000


def freshness(prices: Iterable[HousePrice]) -> Freshness:
    """Return how old positions and prices are; `prices` are those that the figures were valued at."""
    now = now_us()
    engines = engines_read()
    lags = [engine.lag_outputs for engine in engines or ()]
    # None while an engine is silent: then nobody knows.
    lag = None if not lags or None in lags else sum(filter(None, lags))
    if lag is None:
        positions = words.late_unknown()
    elif lag == 0:
        positions = words.late_none()
    else:
        until_us = min(engine.projected_at_us for engine in engines or () if engine.lag_outputs)
        positions = words.late_by(lag, words.clock(until_us))
    ages = [max(0, now - price.ts_us) for price in prices]
    spoken = words.prices_age(min(ages), max(ages)) if ages else words.NOTHING
    is_late = lag is None or lag > _LAG_MAX or max(ages, default=0) > _PRICE_AGE_US_MAX
    return Freshness(positions, spoken, is_late)
