"""The pages on which people say what they are told, by which way and when, and to which phone."""

from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.generic import View

from apps.common.errors import ServiceError
from apps.common.step_up import step_up_page, step_up_require
from apps.notifications import selectors
from apps.notifications.choices import EVENT_RULES, Channel, NoticeEvent
from apps.notifications.models import Reach
from apps.notifications.services.phones import (
    CODE_LIFE,
    phone_ask,
    phone_confirm,
    phone_forget,
)
from apps.notifications.services.wishes import ReachWish, preferences_set, reach_set

_ZONES = [(name, name) for name in sorted(available_timezones()) if "/" in name or name == "UTC"]


class ReachForm(forms.Form):
    """Language, time zone and quiet hours."""

    language = forms.ChoiceField(choices=settings.LANGUAGES)
    time_zone = forms.ChoiceField(choices=_ZONES)
    quiet_from = forms.TimeField(widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"))
    quiet_until = forms.TimeField(widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(settings.LANGUAGES) == 1:
            # Nothing to choose.
            del self.fields["language"]


def _field(event: NoticeEvent, channel: Channel) -> str:
    return f"{event.value}-{channel.value}"


def _channels(reach: Reach) -> list[Channel]:
    """Return the ways by which somebody can be reached: a number counts once its owner has confirmed it."""
    return [c for c in Channel if c is not Channel.SMS or reach.phone_confirmed_at is not None]


@method_decorator(never_cache, name="dispatch")
class NotificationsPage(LoginRequiredMixin, View):
    """Shows the preferences and takes new ones."""

    def get(self, request: HttpRequest) -> HttpResponse:
        reach = selectors.reach_get(user_id=request.user.pk or 0)
        form = ReachForm(
            initial={
                # Until one is chosen it is the browser's, in which this very page is shown.
                "language": get_language(),
                "time_zone": reach.time_zone,
                "quiet_from": f"{reach.quiet_from // 60:02}:{reach.quiet_from % 60:02}",
                "quiet_until": f"{reach.quiet_until // 60:02}:{reach.quiet_until % 60:02}",
            }
        )
        return self._page(request, form, status=200)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = ReachForm(request.POST)
        if not form.is_valid():
            return self._page(request, form, status=400)
        user_id = request.user.pk or 0
        quiet_from, quiet_until = form.cleaned_data["quiet_from"], form.cleaned_data["quiet_until"]
        wish = ReachWish(
            language=form.cleaned_data.get("language", settings.LANGUAGE_CODE),
            time_zone=form.cleaned_data["time_zone"],
            quiet_from=quiet_from.hour * 60 + quiet_from.minute,
            quiet_until=quiet_until.hour * 60 + quiet_until.minute,
        )
        reach_set(user_id=user_id, wish=wish)
        on = {
            (event, channel): _field(event, channel) in request.POST
            for event in NoticeEvent
            for channel in _channels(selectors.reach_get(user_id=user_id))
        }
        preferences_set(user_id=user_id, on=on)
        return redirect("settings-notifications")

    def _page(self, request: HttpRequest, form: ReachForm, *, status: int) -> HttpResponse:
        user_id = request.user.pk or 0
        on = selectors.channels_on(user_ids=[user_id])
        channels = _channels(selectors.reach_get(user_id=user_id))
        rows = [
            {
                "label": event.label,
                "cells": [
                    {
                        "field": _field(event, channel),
                        "label": _("%(event)s by %(channel)s")
                        % {"event": event.label, "channel": channel.label},
                        "is_on": channel in on[user_id, event],
                        "is_forced": channel in rule.forced,
                    }
                    for channel in channels
                ],
            }
            for event, rule in EVENT_RULES.items()
        ]
        phone = selectors.reach_get(user_id=user_id).phone
        context = {"form": form, "rows": rows, "channels": channels, "phone": phone}
        return render(request, "settings/notifications.html", context, status=status)


@method_decorator(never_cache, name="dispatch")
class PhonePage(LoginRequiredMixin, View):
    """The number for text messages: a code is sent to it and must come back. Changes need a fresh proof."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request, status=200)

    def post(self, request: HttpRequest) -> HttpResponse:
        user_id = request.user.pk or 0
        step = request.POST.get("step")
        try:
            if step == "confirm":
                # Asked for with a fresh proof, by who holds the phone.
                code = "".join(request.POST.get("code", "").split())
                phone_confirm(user_id=user_id, code=code)
            else:
                step_up_require(request)
            if step == "ask":
                phone_ask(user_id=user_id, phone=request.POST.get("phone", "")[:32])
            elif step == "forget":
                phone_forget(user_id=user_id)
        except ServiceError as error:
            if error.code == "STEP_UP_REQUIRED":
                return redirect(step_up_page(request, reverse("settings-phone")))
            return self._page(request, status=error.http_status, error=error.message)
        return redirect("settings-phone")

    def _page(self, request: HttpRequest, *, status: int, error: str = "") -> HttpResponse:
        reach = selectors.reach_get(user_id=request.user.pk or 0)
        context = {
            "reach": reach,
            "error": error,
            "is_waiting": reach.code_until is not None and reach.code_until > timezone.now(),
            "minutes": CODE_LIFE // timedelta(minutes=1),
        }
        return render(request, "settings/phone.html", context, status=status)
