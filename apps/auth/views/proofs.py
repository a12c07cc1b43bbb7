"""Asks a browser again who is there, before something that a stolen session must not do."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache
from django.views.generic import View

from apps.auth.choices import LinkOrigin
from apps.auth.services.login_requests import (
    LoginLimitError,
    LoginUnavailableError,
    LoginWish,
    login_request,
)
from apps.auth.services.step_up import FRESH_SECONDS, proof_is_fresh
from apps.auth.views.edge import client_ip, next_path_of, nonce_for, nonce_set

PageView = Callable[..., HttpResponseBase]


def proof_page_url(request: HttpRequest, next_path: str) -> str:
    """Return where a person proves again who is there: by the second factor, else by a new mail."""
    name = "auth-again"
    if is_mfa_enabled(request.user, [Authenticator.Type.TOTP]):
        name = "mfa_reauthenticate"
    elif is_mfa_enabled(request.user, [Authenticator.Type.WEBAUTHN]):
        name = "mfa_reauthenticate_webauthn"
    return f"{reverse(name)}?{urlencode({'next': next_path})}"


def fresh_proof_required(view: PageView) -> PageView:
    """Let a page through only for who is signed in and has proved it within five minutes; others prove it first."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not proof_is_fresh(request):
            return HttpResponseRedirect(proof_page_url(request, request.get_full_path()))
        return view(request, *args, **kwargs)

    return guarded


@method_decorator(never_cache, name="dispatch")
class AgainPage(View):
    """Mails a new link and code to who is signed in; using it is a new sign-in, and so a fresh proof."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect("sign-in")
        return self._page(request, next_path_of(request.GET.get("next")), status=200)

    def post(self, request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect("sign-in")
        next_path = next_path_of(request.POST.get("next"))
        nonce = nonce_for(request)
        wish = LoginWish(
            email=request.user.email,
            origin=LinkOrigin.BROWSER,
            nonce=nonce,
            next_path=next_path,
            ip=client_ip(request),
            language=get_language(),
        )
        try:
            login_request(wish=wish)
        except (LoginLimitError, LoginUnavailableError) as error:
            response = self._page(request, next_path, status=error.http_status, error=error.message)
            if error.retry_after_s is not None:
                response.headers["Retry-After"] = str(error.retry_after_s)
            return response
        response = redirect("auth-code")
        nonce_set(response, nonce)
        return response

    def _page(
        self, request: HttpRequest, next_path: str, *, status: int, error: str = ""
    ) -> HttpResponse:
        context = {"next_path": next_path, "minutes": FRESH_SECONDS // 60, "error": error}
        return render(request, "auth/again.html", context, status=status)
