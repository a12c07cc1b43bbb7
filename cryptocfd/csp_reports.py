"""Takes what browsers tell about violations of the content policy, so that an injected script is seen in the log."""

import logging
from typing import Any, Final
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.common.exact_json import json_decode
from apps.common.rate_limits import rate_limit_wait_us, rate_limits_parse

logger = logging.getLogger(__name__)

# Anybody may send anything here, so the log takes few of them, and little of each.
_LIMITS: Final = rate_limits_parse(["20/m"])
_CHARACTERS_MAX: Final = 120


@csrf_exempt
@require_POST
def csp_report(request: HttpRequest) -> HttpResponse:
    """Log a report; a browser gets the same empty answer for everything that it sends."""
    try:
        report = json_decode(request.body).get("csp-report", {})
        wait_us = rate_limit_wait_us(key=f"csp:{request.META.get('REMOTE_ADDR')}", limits=_LIMITS)
    except (ValueError, AttributeError, redis.RedisError):
        return HttpResponse(status=204)
    if isinstance(report, dict) and not wait_us:
        logger.warning(
            "a page broke its content policy",
            extra={
                "page": _address(report.get("document-uri")),
                "blocked": _address(report.get("blocked-uri")),
                "directive": str(report.get("violated-directive"))[:_CHARACTERS_MAX],
            },
        )
    return HttpResponse(status=204)


def _address(text: Any) -> str:
    """Return an address without its query, which may hold a token."""
    try:
        parts = urlsplit(str(text))
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}{parts.path}"[:_CHARACTERS_MAX]


urlpatterns = [path(settings.CSP_REPORT_PATH.lstrip("/"), csp_report, name="csp-report")]
