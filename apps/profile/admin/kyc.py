"""Identity files in the admin: read with their documents, approved or rejected, and never edited."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.http import content_disposition_header
from django.utils.translation import gettext_noop
from typing_extensions import override
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.common.errors import ServiceError
from apps.common.read_only_admin import ReadOnlyAdmin
from apps.profile.choices import KycState
from apps.profile.models import KycDocument, KycFile
from apps.profile.services.kyc import kyc_decide
from apps.profile.services.kyc_documents import document_open, documents_of


class RejectForm(forms.Form):
    """Why a file is rejected. The sentence that stands there is translated for who reads it, another one is shown as it is."""

    reason = forms.CharField(
        min_length=10,
        max_length=200,
        initial=gettext_noop("The document does not confirm what was told."),
        help_text="The person reads this, by mail and on the page Go live.",
        widget=UnfoldAdminTextInputWidget,
    )


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
    rights = ("profile.decide_kycfile",)
    actions = ("approve", "reject")
    actions_detail = ("approve_file", "reject_file")
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

    waiting_title = "Identity files to decide on"
    waiting_query = "state__exact=submitted"

    @override
    def waiting(self) -> QuerySet[KycFile]:
        return KycFile.objects.filter(state=KycState.SUBMITTED)

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Return whether this member of the staff may decide on files, or on this one, which must wait for it."""
        if not request.user.has_perm("profile.decide_kycfile"):
            return False
        return (
            object_id is None
            or KycFile.objects.filter(pk=object_id, state=KycState.SUBMITTED).exists()
        )

    @admin.action(description="Approve", permissions=["decide"])
    def approve(self, request: HttpRequest, queryset: QuerySet[KycFile]) -> None:
        self._decide(request, queryset, reason=None)

    @admin.action(description="Reject", permissions=["decide"])
    def reject(self, request: HttpRequest, queryset: QuerySet[KycFile]) -> HttpResponse | None:
        """Ask why, which the people are told, and reject the files."""
        form = RejectForm(request.POST if "reason" in request.POST else None)
        if not form.is_valid():
            return self._ask(request, queryset, form, title="Reject", action="reject")
        self._decide(request, queryset, reason=form.cleaned_data["reason"])
        return None

    @action(description="Approve", url_path="approve", permissions=["decide"])
    def approve_file(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Approve the file that is open, after one more look."""
        files = KycFile.objects.filter(pk=object_id)
        if request.method != "POST":
            return self._ask(request, files, None, title="Approve")
        self._decide(request, files, reason=None)
        return redirect("admin:profile_kycfile_changelist")

    @action(description="Reject", url_path="reject", permissions=["decide"])
    def reject_file(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Reject the file that is open, and say why."""
        files = KycFile.objects.filter(pk=object_id)
        form = RejectForm(request.POST or None)
        if not form.is_valid():
            return self._ask(request, files, form, title="Reject")
        self._decide(request, files, reason=form.cleaned_data["reason"])
        return redirect("admin:profile_kycfile_changelist")

    def _ask(
        self,
        request: HttpRequest,
        files: QuerySet[KycFile],
        form: RejectForm | None,
        *,
        title: str,
        action: str = "",
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "rows": files.select_related("user").order_by("id"),
            "form": form,
            "action": action,
            "opts": self.model._meta,  # noqa: SLF001 - Django's own public name for it.
        }
        return TemplateResponse(request, "admin/profile/kyc_decision.html", context)

    def _decide(
        self, request: HttpRequest, queryset: QuerySet[KycFile], *, reason: str | None
    ) -> None:
        """Reject for a reason, or approve without one."""
        for row in queryset.select_related("user").order_by("id"):
            who = f"File {row} of {row.user}"
            try:
                done = kyc_decide(
                    file_id=row.pk,
                    staff_id=request.user.pk or 0,
                    is_approved=reason is None,
                    reason=reason or "",
                )
            except ServiceError as error:
                self.message_user(request, f"{who}: {error.message}.", messages.ERROR)
            else:
                self.log_change(request, done, f"now {done.state}")
                self.message_user(request, f"{who}: {done.get_state_display()}.")
