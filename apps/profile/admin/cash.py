"""Cash requests in the admin: owners and staff ask, two people approve, and no row is edited."""

import functools
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from typing_extensions import override
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextInputWidget,
)

from apps.common.errors import ServiceError
from apps.common.money import MICRO_DECIMALS, scaled_from_number
from apps.common.read_only_admin import ReadOnlyAdmin, exact_column
from apps.profile.choices import CashState
from apps.profile.models import CashRequest
from apps.profile.services.adjustments import REASON_MAX, adjustment_ask
from apps.profile.services.requests import WAITING, request_approve, request_return

_AMOUNT = exact_column("amount_micros", title="amount, USD")


class GiveBackForm(forms.Form):
    """Why money is not taken or not paid out."""

    reason = forms.CharField(
        min_length=10,
        max_length=200,
        help_text="For the audit log; the owner is told that it was cancelled or returned.",
        widget=UnfoldAdminTextInputWidget,
    )


class AdjustmentForm(forms.Form):
    """What is to be posted to which account, and why."""

    account = forms.IntegerField(
        min_value=1, max_value=2**63 - 1, widget=UnfoldAdminIntegerFieldWidget
    )
    amount = forms.DecimalField(
        label="Amount, USD",
        max_digits=15,
        decimal_places=2,
        help_text="With a minus it is taken from the account, up to what could be withdrawn.",
        widget=UnfoldAdminDecimalFieldWidget,
    )
    reason = forms.CharField(
        min_length=10,
        max_length=REASON_MAX,
        help_text="It stands in the log for ever.",
        widget=UnfoldAdminTextInputWidget,
    )

    def clean_amount(self) -> int:
        """Return the amount in micro-USD."""
        return scaled_from_number(self.cleaned_data["amount"], MICRO_DECIMALS)


@admin.register(CashRequest)
class CashRequestAdmin(ReadOnlyAdmin):
    """Wishes to move money and what became of them; two people approve, and no row is edited."""

    rights = ("profile.approve_cashrequest",)
    actions = ("approve", "give_back")

    actions_list = ("adjust",)
    instead = (
        "Owners ask for deposits and withdrawals. Staff asks for an adjustment, which a second person approves.",
        "admin:profile_cashrequest_adjust",
        "Ask for an adjustment",
    )

    waiting_title = "Deposits, withdrawals and adjustments to approve"
    waiting_query = "state__in=requested,reserved"

    @override
    def waiting(self) -> QuerySet[CashRequest]:
        return CashRequest.objects.filter(state__in=WAITING)

    def has_approve_permission(self, request: HttpRequest) -> bool:
        """Return whether this member of the staff may decide on money."""
        return request.user.has_perm("profile.approve_cashrequest")

    @admin.action(description="Approve (two people)", permissions=["approve"])
    def approve(self, request: HttpRequest, queryset: QuerySet[CashRequest]) -> None:
        self._each(request, queryset, request_approve)

    @admin.action(description="Cancel or return the money", permissions=["approve"])
    def give_back(
        self, request: HttpRequest, queryset: QuerySet[CashRequest]
    ) -> HttpResponse | None:
        """Ask why, then give up what waits for approval; what was set aside goes back to its account."""
        form = GiveBackForm(request.POST if "reason" in request.POST else None)
        if form.is_valid():
            step = functools.partial(request_return, reason=form.cleaned_data["reason"])
            self._each(request, queryset, step)
            return None
        rows = queryset.select_related("account__user").order_by("id")
        context = {"rows": [(row, _AMOUNT(row)) for row in rows], "form": form}
        return self._ask(request, "give_back", "Cancel or return the money", context)

    @action(description="Ask for an adjustment", url_path="adjust", permissions=["approve"])
    def adjust(self, request: HttpRequest) -> HttpResponse:
        """Write down what one person wants to post to an account; another one approves it in the list."""
        form = AdjustmentForm(request.POST or None)
        if form.is_valid():
            data = form.cleaned_data
            try:
                made = adjustment_ask(
                    account_id=data["account"],
                    amount_micros=data["amount"],
                    reason=data["reason"],
                    staff_id=request.user.pk or 0,
                )
            except ServiceError as error:
                form.add_error(None, f"{error.message}.")
            else:
                self.message_user(request, f"{made} waits for a second person.", messages.WARNING)
                return redirect("admin:profile_cashrequest_changelist")
        return self._ask(request, "adjustment", "Ask for an adjustment", {"form": form})

    def _ask(
        self, request: HttpRequest, page: str, title: str, context: dict[str, Any]
    ) -> HttpResponse:
        frame = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.model._meta,  # noqa: SLF001 - Django's own public name for it.
        }
        return TemplateResponse(request, f"admin/profile/{page}.html", frame | context)

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[CashRequest],
        step: Callable[..., CashRequest],
    ) -> None:
        for row in queryset.order_by("id"):
            try:
                done = step(cash_id=row.pk, staff_id=request.user.pk)
            except ServiceError as error:
                self.message_user(request, f"{row}: {error.message}.", messages.ERROR)
            else:
                is_half = done.approved_by_id is not None and done.state in WAITING
                fate = (
                    "approved by you, waits for a second person"
                    if is_half
                    else done.get_state_display()
                )
                self.log_change(request, done, f"now {done.state}")
                self.message_user(request, f"{row}: {fate}.")

    list_display = (
        "id",
        "account",
        "owner",
        "kind",
        _AMOUNT,
        "method",
        "fate",
        "approved_by",
        "created_at",
    )
    list_filter = ("kind", "state", "method", "created_at")
    list_select_related = ("account__user", "approved_by")
    search_fields = ("=account__id", "=reference", "account__user__email")
    search_help_text = "An account, a reference, or the address of its owner"
    ordering = ("-id",)
    readonly_fields = (_AMOUNT, "owner", "fate")
    fields = (
        "account",
        "owner",
        "kind",
        _AMOUNT,
        "method",
        "reference",
        "destination",
        "fate",
        "code",
        "approved_by",
        "settled_by",
        "created_at",
        "decided_at",
    )

    @admin.display(description="owner", ordering="account__user__email")
    def owner(self, request: CashRequest) -> str:
        return request.account.user.email

    @display(
        description="state",
        ordering="state",
        label={
            CashState.REQUESTED.label: "warning",
            CashState.RESERVED.label: "warning",
            CashState.SETTLED.label: "success",
            CashState.REFUSED.label: "danger",
        },
    )
    def fate(self, request: CashRequest) -> str:
        return request.get_state_display()
