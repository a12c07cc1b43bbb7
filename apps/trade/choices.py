"""Words with a fixed meaning in this app; they are stored, so they never change their spelling."""

from django.db import models


class OrderState(models.TextChoices):
    """What became of an order."""

    PENDING = "pending", "Pending"
    FILLED = "filled", "Filled"
    CANCELLED = "cancelled", "Cancelled"
    EXPIRED = "expired", "Expired"
    REJECTED = "rejected", "Rejected"


class StatementFormat(models.TextChoices):
    """What kind of file a statement is."""

    JSON = "json", "JSON"
    CSV = "csv", "CSV"
    XLSX = "xlsx", "XLSX"
    PDF = "pdf", "PDF"


class StatementState(models.TextChoices):
    """How far the making of a statement is."""

    WAITING = "waiting", "Waiting"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"
