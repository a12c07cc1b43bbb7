"""Tables of what people are told, and of how they want to be told.

The sending itself is the outbox's (apps/common): each delivery is one of its rows.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q
from typing_extensions import override

from apps.notifications.choices import Channel, NoticeEvent

_MINUTES_OF_DAY = 24 * 60


class Reach(models.Model):
    """How one person wants to be reached; who has no row is reached in English, by mail, at any hour."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    # One of settings.LANGUAGES.
    language = models.CharField(max_length=8, default="en")
    # Name of the time zone, such as Europe/Vienna; quiet hours and times in messages are in it.
    time_zone = models.CharField(max_length=64, default="UTC")
    # Minutes after local midnight; equal means that no hour is quiet. The end may be smaller: over midnight.
    quiet_from = models.PositiveSmallIntegerField(default=0)
    quiet_until = models.PositiveSmallIntegerField(default=0)
    # E.164, empty without one; used only once its owner has typed a code that was sent to it.
    phone = models.CharField(max_length=16, blank=True)
    phone_confirmed_at = models.DateTimeField(null=True)
    # A number whose code is under way; takes the place of the other once the code has come back.
    phone_asked = models.CharField(max_length=16, blank=True)
    # Keyed digest of the code under way, tries so far, and until when it counts.
    code_digest = models.CharField(max_length=64, blank=True)
    code_tries = models.PositiveSmallIntegerField(default=0)
    code_until = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                name="notifications_reach_minutes",
                condition=Q(quiet_from__lt=_MINUTES_OF_DAY, quiet_until__lt=_MINUTES_OF_DAY),
            ),
        )

    @override
    def __str__(self) -> str:
        return str(self.pk)


class Preference(models.Model):
    """Where one person differs from the default of an event and a channel."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    event = models.CharField(max_length=24, choices=NoticeEvent.choices)
    channel = models.CharField(max_length=8, choices=Channel.choices)
    is_on = models.BooleanField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                name="notifications_preference_once", fields=("user", "event", "channel")
            ),
        )

    @override
    def __str__(self) -> str:
        return f"{self.event} by {self.channel}"


class Delivery(models.Model):
    """One message to one person by one channel; the outbox row under its key sends it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    event = models.CharField(max_length=24, choices=NoticeEvent.choices)
    channel = models.CharField(max_length=8, choices=Channel.choices)
    # Where it goes if not to the person's current address: a former one.
    address = models.CharField(max_length=254, blank=True)
    # What the template shows: plain text by name.
    facts = models.JSONField(default=dict)
    # What makes it the same message when its cause is processed again.
    key = models.CharField(max_length=128, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)
    # Why it was not sent after all, such as a person without a phone; empty otherwise.
    dropped = models.CharField(max_length=32, blank=True)

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "deliveries"
        indexes = (models.Index(name="notifications_of_user", fields=("user", "id")),)

    @override
    def __str__(self) -> str:
        return f"{self.event} by {self.channel}"
