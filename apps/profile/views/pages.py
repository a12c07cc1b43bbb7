"""The page "Go live": who one is, a live account, paying in and out, and the list of what was asked for."""

from typing import Any
from uuid import uuid4

from django import forms
from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.generic import View

from apps.common.errors import ServiceError
from apps.common.money import number_from_micros
from apps.common.step_up import step_up_require
from apps.profile import selectors
from apps.profile.choices import CashKind, CashState
from apps.profile.services.kyc import KycWish, kyc_file, kyc_state, kyc_submit, live_apply
from apps.profile.services.kyc_documents import document_add, documents_of
from apps.profile.services.payments import instructions_of, offered_methods
from apps.profile.services.requests import (
    CashWish,
    deposit_request,
    request_cancel,
    requests_of_account,
    withdrawal_request,
)
from apps.profile.views.accounts import amount_micros_of
from engine.values import AccountKind

_DOCUMENTS = (
    ("passport", _("Passport")),
    ("identityCard", _("Identity card")),
    ("drivingLicence", _("Driving licence")),
)
# States that their owner may end, as long as nobody has approved the request.
_MAY_CANCEL = (CashState.REQUESTED, CashState.RESERVED)
_METHODS = {"bank": _("Bank transfer"), "test": _("Test, no money moves")}


class KycForm(forms.Form):
    """Who one is."""

    full_name = forms.CharField(
        label=_("Full name"), max_length=120, widget=forms.TextInput({"autocomplete": "name"})
    )
    birth_date = forms.DateField(
        label=_("Birth date"), widget=forms.DateInput({"type": "date", "autocomplete": "bday"})
    )
    country = forms.RegexField(
        r"\A[A-Za-z]{2}\Z",
        label=_("Country (two letters, such as DE)"),
        error_messages={"invalid": _("Two letters, such as DE.")},
        widget=forms.TextInput({"autocomplete": "country", "maxlength": 2}),
    )
    address = forms.CharField(label=_("Address"), max_length=240)
    document_kind = forms.ChoiceField(choices=_DOCUMENTS, label=_("Document"))
    document_number = forms.CharField(label=_("Document number"), max_length=40)
    file = forms.FileField(
        label=_("Picture or scan of it (JPEG, PNG or PDF, at most 4 MB)"),
        widget=forms.ClearableFileInput({"accept": "image/jpeg,image/png,application/pdf"}),
    )


class LiveForm(forms.Form):
    """A live account."""

    name = forms.CharField(max_length=40, required=False, label=_("What to call it (optional)"))


class DepositForm(forms.Form):
    """Money to pay in; the hidden id makes a form that is sent twice one request."""

    account = forms.TypedChoiceField(label=_("Account"), coerce=int)
    amount = forms.CharField(max_length=20, label=_("Amount, USD"))
    method = forms.ChoiceField(label=_("How"))
    request_id = forms.RegexField(r"\A[0-9a-f]{32}\Z", widget=forms.HiddenInput)

    def __init__(self, *args: Any, accounts: list[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["account"].choices = [(number, number) for number in accounts]  # type: ignore[attr-defined]
        self.fields["method"].choices = [  # type: ignore[attr-defined]
            (name, _METHODS.get(name, name)) for name in offered_methods()
        ]
        self.fields["request_id"].initial = uuid4().hex


class WithdrawalForm(DepositForm):
    """Money to be paid out."""

    destination = forms.CharField(max_length=140, label=_("To (IBAN for a bank transfer)"))


class CancelForm(forms.Form):
    """A request to be taken back; each row of the list has such a form."""

    account = forms.IntegerField(min_value=1, max_value=2**40)
    cash = forms.IntegerField(min_value=1, max_value=2**62)
    kind = forms.ChoiceField(
        choices=[(kind, kind) for kind in (CashKind.DEPOSIT, CashKind.WITHDRAWAL)]
    )


@method_decorator(never_cache, name="dispatch")
class GoLivePage(LoginRequiredMixin, View):
    """Each form of the page posts here and names itself."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request, {})

    def post(self, request: HttpRequest) -> HttpResponse:
        step = request.POST.get("step", "")
        shapes = self._forms(request)
        if step not in shapes:
            return redirect("go-live")
        shape, options = shapes[step]
        form = shape(request.POST, request.FILES, prefix=step, **options)
        if not form.is_valid():
            return self._page(request, {step: form}, status=400)
        try:
            getattr(self, f"_{step}")(request, form.cleaned_data)
        except ServiceError as error:
            form.add_error(None, error.message)
            return self._page(request, {step: form}, status=error.http_status)
        return redirect("go-live")

    def _kyc(self, request: HttpRequest, data: dict[str, Any]) -> None:
        file = data.pop("file")
        wish = KycWish(**data | {"country": data["country"].upper()})
        with transaction.atomic():
            document_add(user_id=_user_id(request), name=file.name, content=file.read())
            kyc_submit(user_id=_user_id(request), wish=wish)

    def _live(self, request: HttpRequest, data: dict[str, Any]) -> None:
        live_apply(user_id=_user_id(request), name=data["name"].strip())

    def _deposit(self, request: HttpRequest, data: dict[str, Any]) -> None:
        deposit_request(wish=_wish(request, data))

    def _withdrawal(self, request: HttpRequest, data: dict[str, Any]) -> None:
        withdrawal_request(
            wish=_wish(request, data),
            approve=lambda text: step_up_require(request, needs_factor=True, approves=text),
        )

    def _cancel(self, request: HttpRequest, data: dict[str, Any]) -> None:
        request_cancel(
            user_id=_user_id(request),
            account_id=data["account"],
            cash_id=data["cash"],
            kind=CashKind(data["kind"]),
        )

    def _forms(self, request: HttpRequest) -> dict[str, tuple[type[forms.Form], dict[str, Any]]]:
        """Return the forms that are open to this person, by name."""
        if getattr(request.user, "is_guest", False):
            return {}
        is_open = [account.id for account in _live_accounts(request) if account.is_open]
        found: dict[str, tuple[type[forms.Form], dict[str, Any]]] = {
            "live": (LiveForm, {}),
            "cancel": (CancelForm, {}),
        }
        if kyc_state(user_id=_user_id(request)) in {"none", "rejected", "expired"}:
            found["kyc"] = (KycForm, {})
        if is_open:
            found["deposit"] = (DepositForm, {"accounts": is_open})
            found["withdrawal"] = (WithdrawalForm, {"accounts": is_open})
        return found

    def _page(
        self, request: HttpRequest, bound: dict[str, forms.Form], *, status: int = 200
    ) -> HttpResponse:
        file = kyc_file(user_id=_user_id(request))
        state = kyc_state(user_id=_user_id(request))
        shown = {
            step: bound.get(step) or shape(prefix=step, **options)
            for step, (shape, options) in self._forms(request).items()
        }
        cancel = shown.get("cancel")
        context = {
            "forms": shown,
            "cancel_errors": cancel.non_field_errors() if cancel and cancel.is_bound else [],
            "documents": documents_of(user_id=_user_id(request)),
            "state": state,
            "reason": file.reason if file else "",
            "accounts": _live_accounts(request),
            "rows": _rows(request),
        }
        return render(request, "profile/go_live.html", context, status=status)


def _user_id(request: HttpRequest) -> int:
    # LoginRequiredMixin has let nobody else in.
    return request.user.pk or 0


def _live_accounts(request: HttpRequest) -> list[selectors.AccountInfo]:
    accounts = selectors.accounts_read(user_id=_user_id(request))
    return [account for account in accounts if account.kind is AccountKind.LIVE]


def _wish(request: HttpRequest, data: dict[str, Any]) -> CashWish:
    return CashWish(
        user_id=_user_id(request),
        account_id=data["account"],
        amount_micros=amount_micros_of(data["amount"].strip()),
        method=data["method"],
        destination=data.get("destination", ""),
        request_id=data["request_id"],
    )


def _rows(request: HttpRequest) -> list[dict[str, object]]:
    rows = []
    for account in _live_accounts(request):
        for kind in (CashKind.DEPOSIT, CashKind.WITHDRAWAL):
            requests = requests_of_account(
                user_id=_user_id(request), account_id=account.id, kind=kind
            )
            for row in requests:
                how = (
                    instructions_of(method=row.method, reference=row.reference)
                    if row.state == CashState.REQUESTED
                    else None
                )
                amount = f"{number_from_micros(row.amount_micros):,.2f}"
                is_open = row.state in _MAY_CANCEL and row.approved_by_id is None
                rows.append({"row": row, "amount": amount, "how": how, "may_cancel": is_open})
    return rows
