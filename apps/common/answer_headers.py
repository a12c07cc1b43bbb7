"""What the middleware adds to every answer, for the lean ways that pass it by."""

from functools import cache

from django.conf import settings


@cache
def answer_headers() -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that tell browsers what not to do with an answer, in the words of the middleware."""
    headers = [
        ("x-frame-options", settings.X_FRAME_OPTIONS),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", settings.SECURE_REFERRER_POLICY),
        ("cross-origin-opener-policy", settings.SECURE_CROSS_ORIGIN_OPENER_POLICY),
    ]
    if settings.SECURE_HSTS_SECONDS:
        # Then every plain request is redirected, so what is answered here came by HTTPS.
        words = [f"max-age={settings.SECURE_HSTS_SECONDS}"]
        words += ["includeSubDomains"] if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS else []
        words += ["preload"] if settings.SECURE_HSTS_PRELOAD else []
        headers.append(("strict-transport-security", "; ".join(words)))
    return tuple((name.encode(), value.encode()) for name, value in headers)
