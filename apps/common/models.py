"""Tables that belong to no app: the outbox of effects outside the database, and the audit log.

Both are written in the transaction of their cause: effects by outbox.py, sent by the worker and never before that transaction is
durable; deeds by audit.py.
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
            # Dead letters are counted each few seconds while somebody watches.
            models.Index(
                name="common_outbox_given_up",
                fields=("id",),
                condition=Q(given_up_at__isnull=False),
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


class AuditEntry(models.Model):
    """One deed in the audit log; only added to (a trigger says so), and chained to the one before (audit.py)."""

    # Without gaps from 1.
    n = models.BigIntegerField(primary_key=True)
    # Microseconds since 1970, UTC.
    at_us = models.BigIntegerField()
    # What was done, such as "sign_in".
    event = models.CharField(max_length=40)
    # Who did it: the number of a user, also of one who is forgotten; empty for who is nobody yet.
    actor_id = models.BigIntegerField(null=True)
    ip = models.GenericIPAddressField(null=True)
    # Names and figures as plain text; no secrets.
    facts = models.JSONField(default=dict)
    # SHA-256 over the digest before and all of the above.
    digest = models.BinaryField(max_length=32)

    class Meta:
        ordering = ("-n",)
        verbose_name_plural = "audit entries"
        indexes = (models.Index(name="common_audit_actor", fields=("actor_id", "n")),)

    @override
    def __str__(self) -> str:
        return f"{self.n}: {self.event}"
