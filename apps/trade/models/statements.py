"""Statements that were asked for, and where their files lie."""

from uuid import uuid4

from django.db import models
from django.db.models import F, Q
from typing_extensions import override

from apps.trade.choices import StatementFormat, StatementState


class StatementFile(models.Model):
    """A statement that was asked for as a file: made by the worker, kept for its owner."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    account = models.BigIntegerField()
    # Period, microseconds UTC: from the first instant on, before the second.
    start_us = models.BigIntegerField()
    end_us = models.BigIntegerField()
    file_format = models.CharField(max_length=4, choices=StatementFormat.choices)
    state = models.CharField(
        max_length=8, choices=StatementState.choices, default=StatementState.WAITING
    )
    # Why it could not be made, as its owner is told; empty unless it has failed.
    fault = models.CharField(max_length=200, blank=True)
    # Entries that have been read so far.
    progress = models.BigIntegerField(default=0)
    content = models.BinaryField(null=True)
    # The client's id of the request; empty for those of releases that took none.
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created_at",)
        indexes = (models.Index(name="trade_statement_account", fields=("account", "-created_at")),)
        constraints = (
            models.UniqueConstraint(
                name="trade_statement_request_id_once",
                fields=("account", "request_id"),
                condition=~Q(request_id=""),
            ),
            models.CheckConstraint(
                name="trade_statement_ready_with_content",
                condition=Q(state="ready", content__isnull=False) | ~Q(state="ready"),
            ),
            models.CheckConstraint(
                name="trade_statement_period", condition=Q(end_us__gt=F("start_us"))
            ),
        )

    @override
    def __str__(self) -> str:
        return f"{self.account} {self.id}"
