"""The pages of a person's API keys: list, make, revoke. A new key's secret is on one page, once."""

from datetime import UTC, datetime, time
from typing import Any

from django import forms
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.generic import View

from apps.auth.choices import KeyAlgorithm
from apps.auth.services.api_keys import KeyWish, key_make, key_revoke, keys_of_user
from apps.common.errors import ServiceError
from apps.common.step_up import step_up_page, step_up_require
from apps.profile.facade import AccountInfo, accounts_of_user

_SCOPES = (("read", _("Read")), ("trade", _("Trade")))
_ALGORITHMS = (
    (KeyAlgorithm.HMAC.value, _("HMAC-SHA256: we make the secret")),
    (KeyAlgorithm.ED25519.value, _("Ed25519: the private key never leaves you")),
)


class KeyForm(forms.Form):
    """What a new key shall be."""

    name = forms.CharField(max_length=40, label=_("What to call it"))
    account = forms.TypedChoiceField(coerce=int, label=_("Account"))
    scopes = forms.MultipleChoiceField(
        choices=_SCOPES,
        initial=["read"],
        widget=forms.CheckboxSelectMultiple,
        label=_("What it may do"),
    )
    algorithm = forms.ChoiceField(choices=_ALGORITHMS, label=_("How it signs"))
    public_key = forms.CharField(
        max_length=64, required=False, label=_("Public key, base64 (Ed25519 only)")
    )
    networks = forms.CharField(
        required=False,
        max_length=1200,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "203.0.113.0/24"}),
        label=_("From these addresses or networks only, one a line (empty: from anywhere)"),
    )
    expires_on = forms.DateField(
        required=False,
        widget=forms.DateInput({"type": "date"}),
        label=_("Last day, UTC (empty: without an end)"),
    )

    def __init__(self, *args: Any, accounts: tuple[AccountInfo, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["account"].choices = [  # type: ignore[attr-defined]
            (account.id, f"{account.name or account.kind} {account.id}") for account in accounts
        ]


@method_decorator(never_cache, name="dispatch")
class KeysPage(LoginRequiredMixin, View):
    """The keys that were not revoked; a button revokes one at once."""

    def get(self, request: HttpRequest) -> HttpResponse:
        context = {"keys": keys_of_user(user_id=request.user.pk or 0)}
        return render(request, "settings/keys.html", context)

    def post(self, request: HttpRequest) -> HttpResponse:
        # No row can hold a NUL.
        public_id = request.POST.get("key", "").replace("\0", "")[:40]
        try:
            key_revoke(user_id=request.user.pk or 0, public_id=public_id)
        except ServiceError:
            # Revoked before, on another page.
            return redirect("settings-keys")
        return redirect("settings-keys")


@method_decorator(never_cache, name="dispatch")
class NewKeyPage(View):
    """Makes a key for who has proved who is there within five minutes."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request, self._form(request), status=200)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = self._form(request, request.POST)
        if not form.is_valid():
            return self._page(request, form, status=400)
        try:
            step_up_require(request, needs_factor=True)
            made = key_make(user_id=request.user.pk or 0, wish=_wish(form.cleaned_data))
        except ServiceError as error:
            if error.code == "STEP_UP_REQUIRED":
                return redirect(step_up_page(request, reverse("settings-key-new")))
            form.add_error(None, error.message)
            return self._page(request, form, status=error.http_status)
        return render(request, "settings/key_made.html", {"made": made}, status=201)

    def _form(self, request: HttpRequest, *data: Any) -> KeyForm:
        return KeyForm(*data, accounts=accounts_of_user(request.user.pk or 0))

    def _page(self, request: HttpRequest, form: KeyForm, *, status: int) -> HttpResponse:
        return render(request, "settings/key_new.html", {"form": form}, status=status)


def _wish(data: dict[str, Any]) -> KeyWish:
    day = data["expires_on"]
    return KeyWish(
        name=data["name"],
        account_id=data["account"],
        algorithm=KeyAlgorithm(data["algorithm"]),
        public_key=data["public_key"],
        may_trade="trade" in data["scopes"],
        may_read="read" in data["scopes"],
        networks=tuple(data["networks"].split()),
        # The whole of that day.
        expires_at=datetime.combine(day, time.max, tzinfo=UTC) if day else None,
    )
