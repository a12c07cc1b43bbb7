"""Trading accounts and cash requests in the admin, to look at: money moves by commands only."""

from collections.abc import Callable

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.http import content_disposition_header
from django.utils.translation import gettext_noop
from typing_extensions import override
from unfold.decorators import display

from apps.common.errors import ServiceError
from apps.common.read_only_admin import ReadOnlyAdmin, exact_column
from apps.profile.choices import CashState, KycState
from apps.profile.models import CashOutbox, CashRequest, KycDocument, KycFile, TradingAccount
from apps.profile.services.kyc import kyc_decide
from apps.profile.services.kyc_documents import document_open, documents_of
from apps.profile.services.requests import request_approve, request_return

_AMOUNT = exact_column("amount_micros", title="amount, USD")


@admin.register(TradingAccount)
class TradingAccountAdmin(ReadOnlyAdmin):
    """Whose account it is and on which terms; its money is among the balances."""

    list_display = ("id", "user", "kind", "group", "is_default", "is_open", "created_at")
    list_filter = ("kind", "group", "is_open")
    list_select_related = ("user",)
    search_fields = ("=id", "user__email")
    ordering = ("-id",)


@admin.register(CashRequest)
class CashRequestAdmin(ReadOnlyAdmin):
    """Wishes to move money and what became of them; two people approve, and no row is edited."""

    actions = ("approve", "give_back")

    def has_approve_permission(self, request: HttpRequest) -> bool:
        """Return whether this member of the staff may decide on money."""
        return request.user.has_perm("profile.approve_cashrequest")

    @admin.action(description="Approve (two people)", permissions=["approve"])
    def approve(self, request: HttpRequest, queryset: QuerySet[CashRequest]) -> None:
        self._each(request, queryset, request_approve)

    @admin.action(description="Cancel or return the money", permissions=["approve"])
    def give_back(self, request: HttpRequest, queryset: QuerySet[CashRequest]) -> None:
        self._each(request, queryset, request_return)

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
                self.log_change(request, done, f"{step.__name__}: now {done.state}")
                self.message_user(request, f"{row}: {done.get_state_display()}.")

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


@admin.register(KycFile)
class KycFileAdmin(ReadOnlyAdmin):
    """Who people say they are; approved or rejected here, never edited."""

    list_display = (
        "id",
        "user",
        "full_name",
        "fate",
        "country",
        "submitted_at",
        "decided_at",
        "decided_by",
    )
    list_filter = ("state", "submitted_at")
    list_select_related = ("user", "decided_by")
    search_fields = ("user__email", "full_name")
    search_help_text = "An address, or a name"
    ordering = ("-submitted_at", "-id")
    actions = ("approve", "reject")
    readonly_fields = ("documents", "fate")
    fieldsets = (
        ("Check", {"fields": ("user", "fate", "reason", "submitted_at")}),
        ("Person", {"fields": ("full_name", "birth_date", "country", "address")}),
        ("Document", {"fields": ("document_kind", "document_number", "documents")}),
        ("Decision", {"fields": ("decided_by", "decided_at", "expires_at")}),
    )

    @display(
        description="state",
        ordering="state",
        label={
            KycState.SUBMITTED.label: "warning",
            KycState.APPROVED.label: "success",
            KycState.REJECTED.label: "danger",
            KycState.EXPIRED.label: "danger",
        },
    )
    def fate(self, file: KycFile) -> str:
        return file.get_state_display()

    @admin.display(description="documents")
    def documents(self, file: KycFile) -> str:
        """Return links to what the person has handed in; opening one is noted."""
        return format_html_join(
            ", ",
            '<a href="{}">{}</a>',
            (
                (reverse("admin:profile_kyc_document", args=[row.pk]), row.name)
                for row in documents_of(user_id=file.user_id)
            ),
        )

    @override
    def get_urls(self) -> list[URLPattern]:
        opening = self.admin_site.admin_view(self.document_open)
        own = path("document/<int:document_id>", opening, name="profile_kyc_document")
        return [own, *super().get_urls()]

    def document_open(self, request: HttpRequest, document_id: int) -> HttpResponse:
        """Hand a document to a member of the staff that may decide on it, as a file that no page can run."""
        if not self.has_decide_permission(request):
            raise PermissionDenied("only who decides on KYC files may open their documents")
        row = get_object_or_404(KycDocument.objects.defer("content_sealed"), pk=document_id)
        file = get_object_or_404(KycFile, user_id=row.user_id)
        self.log_change(request, file, f"opened the document {row.pk}")
        document = document_open(document_id=row.pk)
        response = HttpResponse(document.content, content_type=document.content_type)
        response.headers["Content-Disposition"] = (
            content_disposition_header(as_attachment=True, filename=document.name) or "attachment"
        )
        response.headers["Cache-Control"] = "private, no-store"
        return response

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Return whether this member of the staff may decide on files."""
        return request.user.has_perm("profile.decide_kycfile")

    @admin.action(description="Approve", permissions=["decide"])
    def approve(self, request: HttpRequest, queryset: QuerySet[KycFile]) -> None:
        self._decide(request, queryset, is_approved=True)

    @admin.action(description="Reject", permissions=["decide"])
    def reject(self, request: HttpRequest, queryset: QuerySet[KycFile]) -> None:
        self._decide(request, queryset, is_approved=False)

    def _decide(
        self, request: HttpRequest, queryset: QuerySet[KycFile], *, is_approved: bool
    ) -> None:
        reason = "" if is_approved else gettext_noop("The document does not confirm what was told.")
        for row in queryset.order_by("id"):
            try:
                done = kyc_decide(
                    file_id=row.pk,
                    staff_id=request.user.pk or 0,
                    is_approved=is_approved,
                    reason=reason,
                )
            except ServiceError as error:
                self.message_user(request, f"File {row}: {error.message}.", messages.ERROR)
            else:
                self.log_change(request, done, f"now {done.state}")
                self.message_user(request, f"File {row}: {done.get_state_display()}.")


@admin.register(CashOutbox)
class CashOutboxAdmin(ReadOnlyAdmin):
    """Cash commands on their way to the engine; a row without an answer is sent again."""

    list_display = ("id", "account", "cash_seq", "kind", _AMOUNT, "created_at", "answered_at")
    list_filter = ("kind", "created_at", "answered_at")
    list_select_related = ("account",)
    search_fields = ("=account__id",)
    ordering = ("-id",)
    readonly_fields = (_AMOUNT,)
    fields = ("account", "cash_seq", "request", "kind", _AMOUNT, "created_at", "answered_at")
