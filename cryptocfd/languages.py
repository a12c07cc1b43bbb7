"""Shows the account pages in a person's language; all else, above all the API with its stable sentences, stays in English."""

from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers

from apps.notifications.facade import language_chosen

# Pages whose texts are marked for translation.
_TRANSLATED: Final = ("/auth/", "/settings/", "/go-live", "/admin/office/")


class LanguageMiddleware:
    """Chooses the language of a page: what its person has chosen, else what the browser asks for."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a request in its language."""
        if not request.path_info.startswith(_TRANSLATED):
            with translation.override(settings.LANGUAGE_CODE):
                return self._get_response(request)
        language = language_of(request)
        with translation.override(language):
            response = self._get_response(request)
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ("Accept-Language",))
        return response


def language_of(request: HttpRequest) -> str:
    """Return the language of who reads a page: what this person has chosen, else what the browser asks for."""
    chosen = language_chosen(request.user.pk) if request.user.is_authenticated else None
    return chosen or translation.get_language_from_request(request)
