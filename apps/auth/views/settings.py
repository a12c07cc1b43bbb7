"""A person's own pages: profile, devices, address, data and the end of the account. They work without scripts."""

import json

from allauth.usersessions.models import UserSession
from django import forms
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.generic import View

from apps.auth.models import Device, EmailChange, User
from apps.auth.selectors import user_get
from apps.auth.services.clients import client_name
from apps.auth.services.devices import device_revoke
from apps.auth.services.people import (
    CHANGE_SECONDS,
    email_change_ask,
    email_change_confirm,
    person_delete,
    sessions_end_all,
    user_rename,
)
from apps.auth.services.revocations import sessions_forget
from apps.auth.views.edge import client_ip
from apps.common.errors import ServiceError
from apps.common.people import person_export, person_obstacles

_fresh = method_decorator(never_cache, name="dispatch")


def _person(request: HttpRequest) -> User:
    user = user_get(user_id=request.user.pk or 0)
    assert user is not None  # noqa: S101 - these pages are for who is signed in; this tells the type checker.
    return user


class NameForm(forms.Form):
    """What the screen calls a person."""

    name = forms.CharField(
        max_length=80, required=False, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )


class AddressForm(forms.Form):
    """A new address."""

    email = forms.EmailField(
        max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )


@_fresh
class ProfilePage(LoginRequiredMixin, View):
    """Name and address."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request, NameForm({"name": _person(request).name}), status=200)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = NameForm(request.POST)
        if not form.is_valid():
            return self._page(request, form, status=400)
        user_rename(user=_person(request), name=form.cleaned_data["name"])
        return redirect("settings-profile")

    def _page(self, request: HttpRequest, form: NameForm, *, status: int) -> HttpResponse:
        changes = EmailChange.objects.filter(user_id=_person(request).pk)
        context = {"form": form, "person": _person(request), "changes": changes}
        return render(request, "settings/profile.html", context, status=status)


@_fresh
class EmailPage(View):
    """Asks for a new address, and takes the link that was mailed to it; a GET changes nothing."""

    def get(self, request: HttpRequest) -> HttpResponse:
        context = {"form": AddressForm(), "token": request.GET.get("token", "")}
        return render(request, "settings/email.html", context)

    def post(self, request: HttpRequest) -> HttpResponse:
        token = request.POST.get("token", "")
        if token:
            return self._confirm(request, token)
        form = AddressForm(request.POST)
        if not form.is_valid():
            return render(request, "settings/email.html", {"form": form}, status=400)
        email_change_ask(user=_person(request), new_email=form.cleaned_data["email"])
        context = {"sent_to": form.cleaned_data["email"], "minutes": CHANGE_SECONDS // 60}
        return render(request, "settings/email.html", context)

    def _confirm(self, request: HttpRequest, token: str) -> HttpResponse:
        try:
            email_change_confirm(user=_person(request), token=token, ip=client_ip(request))
        except ServiceError as error:
            context = {"form": AddressForm(), "error": error.message}
            return render(request, "settings/email.html", context, status=error.http_status)
        return redirect("sign-in")


@_fresh
class DevicesPage(LoginRequiredMixin, View):
    """Browsers and devices that are signed in; each can be signed out, or all of them."""

    def get(self, request: HttpRequest) -> HttpResponse:
        devices = Device.objects.filter(user_id=_person(request).pk, ended_at=None)
        of_devices = devices.values("session_key")
        browsers = [
            {"row": row, "name": client_name(row.user_agent), "is_this": row.is_current()}
            for row in UserSession.objects.purge_and_list(_person(request))
            if not of_devices.filter(session_key=row.session_key).exists()
        ]
        context = {"browsers": browsers, "devices": devices}
        return render(request, "settings/devices.html", context)

    def post(self, request: HttpRequest) -> HttpResponse:
        user = _person(request)
        if "all" in request.POST:
            sessions_end_all(user=user)
            return redirect("sign-in")
        if "device" in request.POST:
            device_revoke(user_id=user.pk, device_id=_number(request, "device"))
        else:
            row = get_object_or_404(UserSession, user=user, pk=_number(request, "browser"))
            row.end()
            sessions_forget(user_id=user.pk)
        return redirect("settings-devices")


def _number(request: HttpRequest, name: str) -> int:
    text = request.POST.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


class DataPage(LoginRequiredMixin, View):
    """Where a person gets everything that is stored, and where the account ends."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return render(request, "settings/data.html")


@_fresh
class ExportView(View):
    """Everything that is stored about a person, as one JSON file."""

    def get(self, request: HttpRequest) -> HttpResponse:
        text = json.dumps(person_export(request.user.pk or 0), indent=2, ensure_ascii=False)
        response = HttpResponse(text, content_type="application/json")
        response.headers["Content-Disposition"] = 'attachment; filename="cryptocfd-data.json"'
        return response


@_fresh
class DeletePage(View):
    """Ends the account of who types their address."""

    def get(self, request: HttpRequest) -> HttpResponse:
        obstacles = person_obstacles(_person(request).pk)
        return render(request, "settings/delete.html", {"obstacles": obstacles})

    def post(self, request: HttpRequest) -> HttpResponse:
        user = _person(request)
        if request.POST.get("email", "").strip().lower() != user.email:
            context = {"error": _("Type %(email)s to delete this account.") % {"email": user.email}}
            return render(request, "settings/delete.html", context, status=400)
        try:
            person_delete(user=user)
        except ServiceError as error:
            context = {
                "error": _("The account cannot be deleted yet: %(why)s.") % {"why": error.message}
            }
            return render(request, "settings/delete.html", context, status=error.http_status)
        return redirect("landing")
