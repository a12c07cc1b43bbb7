"""Words with a fixed meaning in this app; they are stored, so they never change their spelling."""

from django.db import models


class OrderState(models.TextChoices):
    """What became of an order."""

    PENDING = "pending", "Pending"
    FILLED = "filled", "Filled"
    CANCELLED = "cancelled", "Cancelled"
    EXPIRED = "expired", "Expired"
    REJECTED = "rejected", "Rejected"
