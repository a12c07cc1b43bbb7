"""People and their sign-in links in the admin.

Users are closed, never deleted: their ledger stays. Rights are given by superusers only.
"""

from collections.abc import Callable
from typing import Any, cast

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from typing_extensions import override
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.auth.models import LoginLink, User
from apps.auth.services.clients import client_name
from apps.auth.services.factor_loss import factors_remove
from apps.auth.services.revocations import sessions_forget
from apps.auth.services.users import user_sign_out_everywhere
from apps.auth.services.viewed import RIGHT
from apps.auth.services.viewing import viewing_begin
from apps.common.errors import ServiceError
from apps.common.read_only_admin import AuditedAdmin, ReadOnlyAdmin, admin_page

# Whether an address is proved is decided by a used link and by nobody else.
admin.site.unregister(EmailAddress)
admin.site.unregister(Group)
# Their own pages let staff read the keys of sessions, with which anybody's browser could be played, and write second factors.
admin.site.unregister(Authenticator)
admin.site.unregister(UserSession)

_RIGHTS = ("is_staff", "is_superuser", "groups")


@admin.register(Group)
class GroupAdmin(AuditedAdmin):
    """What kinds of staff may see."""

    search_fields = ("name",)
    ordering = ("name", "id")
    filter_horizontal = ("permissions",)

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Whoever may change a group could give himself every right in it.
        return bool(request.user.is_active and request.user.is_superuser)

    has_add_permission = has_change_permission
    has_delete_permission = has_change_permission


# Where staff reads on about a person, by app and model; each list is searched by address.
_RECORDS = (
    ("Trading accounts", "profile", "tradingaccount"),
    ("Identity check", "profile", "kycfile"),
    ("Deposits and withdrawals", "profile", "cashrequest"),
    ("Sign-in links", "accounts", "loginlink"),
    ("Browsers signed in", "usersessions", "usersession"),
    ("Second factors", "mfa", "authenticator"),
    ("Messages", "notifications", "delivery"),
    ("Audit log", "common", "auditentry"),
)


def _records(request: HttpRequest, person: User) -> list[tuple[str, str]]:
    query = urlencode({"q": person.email})
    return [
        (title, f"{reverse(f'admin:{app}_{model}_changelist')}?{query}")
        for title, app, model in _RECORDS
        if admin_page(app, model).has_view_permission(request)
    ]


class ReasonForm(forms.Form):
    """Why somebody's account is looked at, or a guard of it taken away."""

    reason = forms.CharField(min_length=10, max_length=200, widget=UnfoldAdminTextInputWidget)


class UserForm(forms.ModelForm):  # type: ignore[type-arg] # Django 5.2 takes none at run time.
    """A person; addresses are in lower case, however they are typed."""

    def clean_email(self) -> str:
        """Return the address as it is kept."""
        email: str = self.cleaned_data["email"]
        return email.lower()


@admin.register(User)
class UserAdmin(AuditedAdmin):
    """People: who they are, whether their door is open, and what they may see here."""

    list_display = ("email", "name", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser", "joined_at")
    search_fields = ("email", "name")
    ordering = ("-id",)
    fields = ("email", "name", "is_active", *_RIGHTS, "joined_at", "last_login")
    readonly_fields = ("joined_at", "last_login")
    form = UserForm
    personal_fields = frozenset({"email", "name"})
    autocomplete_fields = ("groups",)
    actions = ("sign_out_everywhere",)
    actions_detail = ("look", "reset_factor")
    change_form_before_template = "admin/accounts/records.html"

    @override
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show the ways to what there is of a person, as far as who looks may see it."""
        person = None if object_id is None else self.get_object(request, object_id)
        records = [] if person is None else _records(request, person)
        context = {**(extra_context or {}), "records": records}
        return super().changeform_view(request, object_id, form_url, context)

    def has_look_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Return whether this member of the staff may see the site as a person sees it."""
        return request.user.has_perm(RIGHT)

    @action(description="See what this person sees", url_path="look", permissions=["look"])
    def look(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask why, then show the terminal as this person sees it, for half an hour and to read only."""

        def act(person: User, reason: str) -> HttpResponse:
            viewing_begin(
                request=request,
                viewer=cast(User, request.user),
                user_id=person.pk,
                reason=reason,
            )
            return redirect("landing")

        return self._ask(request, object_id, act, title="See what this person sees", page="look")

    def has_reset_factor_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Return whether this member of the staff may take away what guards somebody's sign-in."""
        return bool(request.user.is_active and request.user.is_superuser)

    @action(
        description="Remove the second factor",
        url_path="reset-factor",
        permissions=["reset_factor"],
    )
    def reset_factor(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask why, then take all second factors away from somebody who has lost them."""

        def act(person: User, reason: str) -> HttpResponse:
            factors_remove(user=person, staff_id=cast(User, request.user).pk, reason=reason)
            self.message_user(request, f"{person} has no second factor any more.")
            return redirect("admin:accounts_user_change", person.pk)

        title = "Remove the second factor"
        return self._ask(request, object_id, act, title=title, page="reset_factor")

    def _ask(
        self,
        request: HttpRequest,
        object_id: str,
        act: Callable[[User, str], HttpResponse],
        *,
        title: str,
        page: str,
    ) -> HttpResponse:
        """Ask for a reason, and act on the person once it is given."""
        person = self.get_object(request, object_id)
        if person is None:
            raise Http404(f"there is no person {object_id}")
        form = ReasonForm(request.POST or None)
        if form.is_valid():
            try:
                return act(person, form.cleaned_data["reason"])
            except ServiceError as error:
                self.message_user(request, f"Refused: {error.message}.", messages.ERROR)
                return redirect("admin:accounts_user_change", object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "person": person,
            "form": form,
            "opts": self.model._meta,  # noqa: SLF001 - Django's own public name for it.
        }
        return TemplateResponse(request, f"admin/accounts/{page}.html", context)

    @admin.action(description="Sign out everywhere", permissions=["change"])
    def sign_out_everywhere(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            user_sign_out_everywhere(user=user)
            self.log_change(request, user, "signed out everywhere")
        self.message_user(request, f"{len(queryset)} signed out everywhere.")

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        if obj is not None and obj.pk == request.user.pk:
            # Nobody locks himself out by a slip; another member of the staff can.
            fields += ("is_active", "is_staff", "is_superuser")
        if obj is not None:
            # Links, ledger and mails know people by this address.
            fields += ("email",)
        return fields if request.user.is_superuser else fields + _RIGHTS

    @override
    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        is_above = obj is not None and obj.is_superuser and not request.user.is_superuser
        return not is_above and super().has_change_permission(request, obj)

    @override
    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    @override
    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if not change:
            obj.set_unusable_password()
        super().save_model(request, obj, form, change)
        # A closed door or lost rights count at once.
        sessions_forget(user_id=obj.pk)


@admin.register(LoginLink)
class LoginLinkAdmin(ReadOnlyAdmin):
    """Who asked for a way in, from where, and what became of it."""

    list_display = ("created_at", "email", "origin", "fate", "asked_ip", "used_at", "used_ip")
    list_filter = ("origin", "created_at", "used_at")
    search_fields = ("email", "asked_ip", "used_ip")
    ordering = ("-id",)
    fields = (
        "email",
        "origin",
        "fate",
        "created_at",
        "expires_at",
        "superseded_at",
        "asked_ip",
        "code_attempts",
        "used_at",
        "used_ip",
        "user",
    )

    @display(
        description="fate",
        label={"used": "success", "open": "info", "superseded": "warning", "expired": "warning"},
    )
    def fate(self, link: LoginLink) -> str:
        if link.used_at is not None:
            return "used"
        if link.superseded_at is not None:
            return "superseded"
        return "open" if link.expires_at > timezone.now() else "expired"


@admin.register(UserSession)
class BrowserAdmin(ReadOnlyAdmin):
    """Browsers that are signed in, without the keys of their sessions; each can be signed out."""

    list_display = ("user", "browser", "ip", "created_at", "last_seen_at")
    list_filter = ("created_at", "last_seen_at")
    list_select_related = ("user",)
    search_fields = ("user__email", "=ip")
    search_help_text = "The address of a person, or a network address"
    ordering = ("-id",)
    readonly_fields = ("browser",)
    fields = list_display
    actions = ("sign_out",)

    @admin.display(description="browser", ordering="user_agent")
    def browser(self, session: UserSession) -> str:
        return client_name(session.user_agent)

    def has_end_permission(self, request: HttpRequest) -> bool:
        """Return whether this member of the staff may sign people out."""
        return request.user.has_perm("accounts.change_user")

    @admin.action(description="Sign out", permissions=["end"])
    def sign_out(self, request: HttpRequest, queryset: QuerySet[UserSession]) -> None:
        """End these sessions; who it was is in the audit log."""
        for session in queryset:
            person = session.user
            session.end()
            sessions_forget(user_id=person.pk)
            self.log_change(request, person, "signed out of one browser")
            self.message_user(request, f"{person} is signed out of one browser.")


@admin.register(Authenticator)
class SecondFactorAdmin(ReadOnlyAdmin):
    """Who has which second factors; what proves them is shown to nobody."""

    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type", "created_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("user__email",)
    search_help_text = "The address of a person"
    ordering = ("-id",)
    fields = list_display
