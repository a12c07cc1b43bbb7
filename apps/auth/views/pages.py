"""The pages of sign-in: ask for a link, confirm it, type its code, sign out.

A GET never uses a link up, since mail scanners and previews open every address they find; the button
of the page posts.
"""

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.generic import View

from apps.auth.choices import LinkOrigin
from apps.auth.services.guests import guest_create
from apps.auth.services.links import (
    LinkError,
    UsedLink,
    login_code_use,
    login_link_preview,
    login_link_use,
)
from apps.auth.services.login_requests import (
    LoginLimitError,
    LoginUnavailableError,
    LoginWish,
    login_request,
)
from apps.auth.services.sessions import browser_sign_in, browser_sign_out
from apps.auth.views.edge import (
    client_ip,
    is_guest,
    next_path_of,
    no_trace,
    nonce_clear,
    nonce_for,
    nonce_of,
    nonce_set,
    presence_of,
)
from apps.common.errors import ServiceError

# Refusals after which the same form may be tried again.
_CAN_TRY_AGAIN = {"CODE_INVALID", "LINK_NEEDS_CODE"}


class SignInForm(forms.Form):
    """The address to send a link to."""

    email = forms.EmailField(
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "autofocus": True}),
    )


class CodeForm(forms.Form):
    """The six digits of the mail."""

    code = forms.RegexField(
        r"^\s*\d{3}\s*\d{3}\s*$",
        error_messages={"invalid": _("The code has six digits.")},
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}
        ),
    )


def _signed_in(request: HttpRequest, used: UsedLink) -> HttpResponse:
    response = browser_sign_in(
        request=request,
        user=used.user,
        redirect_path=used.next_path or settings.LOGIN_REDIRECT_URL,
    )
    nonce_clear(response)
    return response


def _refused(request: HttpRequest, error: LinkError) -> HttpResponse:
    return render(request, "auth/refused.html", {"error": error}, status=error.http_status)


@method_decorator(never_cache, name="dispatch")
class SignInPage(View):
    """Asks for the address, also without scripts; who is signed in goes on to where they wanted."""

    def get(self, request: HttpRequest) -> HttpResponse:
        next_path = next_path_of(request.GET.get("next"))
        is_known = request.user.is_authenticated and not is_guest(request)
        # Who is signed in may prove it again, for what needs a fresh proof.
        if is_known and "again" not in request.GET:
            return HttpResponseRedirect(next_path or settings.LOGIN_REDIRECT_URL)
        return render(request, "auth/sign_in.html", {"form": SignInForm(), "next_path": next_path})

    def post(self, request: HttpRequest) -> HttpResponse:
        form = SignInForm(request.POST)
        next_path = next_path_of(request.POST.get("next"))
        context = {"form": form, "next_path": next_path}
        if not form.is_valid():
            return render(request, "auth/sign_in.html", context, status=400)
        nonce = nonce_for(request)
        wish = LoginWish(
            email=form.cleaned_data["email"],
            origin=LinkOrigin.BROWSER,
            nonce=nonce,
            next_path=next_path,
            ip=client_ip(request),
            language=get_language(),
        )
        try:
            login_request(wish=wish)
        except (LoginLimitError, LoginUnavailableError) as error:
            form.add_error(None, error.message)
            response = render(request, "auth/sign_in.html", context, status=error.http_status)
            if error.retry_after_s is not None:
                response.headers["Retry-After"] = str(error.retry_after_s)
            return response
        response = redirect("auth-code")
        nonce_set(response, nonce)
        return response


@method_decorator(never_cache, name="dispatch")
class CodePage(View):
    """Where the asking browser waits for its mail and may type the code."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if not nonce_of(request):
            return redirect("sign-in")
        return self._page(request, CodeForm(), status=200)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = CodeForm(request.POST)
        if not form.is_valid():
            return self._page(request, form, status=400)
        presence = presence_of(request, code=form.cleaned_data["code"], is_page=True)
        try:
            used = login_code_use(presence=presence)
        except LinkError as error:
            if error.code not in _CAN_TRY_AGAIN:
                return _refused(request, error)
            form.add_error("code", error.message)
            return self._page(request, form, status=error.http_status)
        return _signed_in(request, used)

    def _page(self, request: HttpRequest, form: CodeForm, *, status: int) -> HttpResponse:
        context = {"form": form, "minutes": settings.LOGIN_LINK_SECONDS // 60}
        return render(request, "auth/code.html", context, status=status)


@no_trace
class VerifyPage(View):
    """What a link of a mail opens in a browser: a button, and a field if the browser is another."""

    def head(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the signature is the framework's.
        return HttpResponse()

    def get(self, request: HttpRequest) -> HttpResponse:
        token = request.GET.get("token", "")
        return self._page(request, token, form=CodeForm(), status=200)

    def post(self, request: HttpRequest) -> HttpResponse:
        token = request.POST.get("token", "")
        form = CodeForm(request.POST) if "code" in request.POST else None
        if form is not None and not form.is_valid():
            return self._page(request, token, form=form, status=400)
        code = "" if form is None else form.cleaned_data["code"]
        try:
            used = login_link_use(
                token=token, presence=presence_of(request, code=code, is_page=True)
            )
        except LinkError as error:
            if error.code not in _CAN_TRY_AGAIN:
                return _refused(request, error)
            form = form or CodeForm({"code": ""})
            form.add_error("code", error.message)
            return self._page(request, token, form=form, status=error.http_status)
        return _signed_in(request, used)

    def _page(
        self, request: HttpRequest, token: str, *, form: CodeForm, status: int
    ) -> HttpResponse:
        try:
            preview = login_link_preview(
                token=token, presence=presence_of(request, code="", is_page=True)
            )
        except LinkError as error:
            return _refused(request, error)
        context = {"preview": preview, "token": token, "form": form}
        return render(request, "auth/verify.html", context, status=status)


class GuestDemoView(View):
    """The button "Start with a demo": a guest at once, and the address later or never."""

    http_method_names = ("get", "post", "options")

    def get(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the signature is the framework's.
        # Somebody has typed the address, or went back to it.
        return redirect(settings.LOGOUT_REDIRECT_URL)

    def post(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            return redirect(settings.LOGIN_REDIRECT_URL)
        try:
            guest = guest_create(ip=client_ip(request))
        except ServiceError as error:
            response = render(
                request, "auth/later.html", {"error": error}, status=error.http_status
            )
            if error.retry_after_s is not None:
                response.headers["Retry-After"] = str(error.retry_after_s)
            return response
        # The terminal opens the demo account on the first visit, as it does for everybody.
        return browser_sign_in(
            request=request, user=guest, redirect_path=settings.LOGIN_REDIRECT_URL
        )


class SignOutView(View):
    """Ends the browser's session."""

    http_method_names = ("post", "options")

    def post(self, request: HttpRequest) -> HttpResponse:
        browser_sign_out(request=request)
        return redirect(settings.LOGOUT_REDIRECT_URL)
