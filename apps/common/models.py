"""The outbox: effects outside the database that a transaction has decided on, such as a mail or an SMS.

Written by outbox.py in the transaction of what caused them, sent by the worker, and never before that transaction is durable.
"""

from django.db import models
from django.db.models import Q
from typing_extensions import override


class OutboxEffect(models.Model):
    """One effect on its way; its id names the job that carries it out."""

    # Dotted path of the function that carries it out, and its keyword arguments.
    task = models.CharField(max_length=128)
    payload = models.JSONField(default=dict)
    # What makes it the same effect when its cause is processed again, such as "margin-call:1001:57".
    key = models.CharField(max_length=128, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # Not handed to the worker before this time; moved on by each failed attempt.
    due_at = models.DateTimeField()
    # Failed attempts so far, and what the last of them said.
    failures = models.PositiveSmallIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)
    # Set just before an effect that must not be repeated begins; a claim that nobody works at makes it uncertain.
    claimed_at = models.DateTimeField(null=True)
    # Empty while it is to be carried out; one of both is set at the end.
    done_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(
                name="common_outbox_waiting",
                fields=("due_at", "id"),
                condition=Q(done_at__isnull=True, given_up_at__isnull=True),
            ),
        )
        constraints = (
            models.CheckConstraint(
                name="common_outbox_one_end",
                condition=Q(done_at__isnull=True) | Q(given_up_at__isnull=True),
            ),
        )

    @override
    def __str__(self) -> str:
        return f"{self.pk}: {self.key}"
