"""Tables of people's trading accounts and of the money that starts here on its way to the engine.

The balance is not here: the engine holds it, and apps/trade projects it.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q
from typing_extensions import override

from apps.profile.choices import AccountKind, CashKind, CashState, KycState


class TradingAccount(models.Model):
    """One trading account of a user; its id is the account of the engine, from one sequence that starts at 1001."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8, choices=AccountKind.choices)
    # Group whose terms the account was opened with.
    group = models.CharField(max_length=64)
    # The account that is meant where a request names none.
    is_default = models.BooleanField(default=False)
    # When it took the place of another one as the default; empty if it never did.
    default_since = models.DateTimeField(null=True, blank=True)
    # What its owner calls it; may be empty.
    name = models.CharField(max_length=40, blank=True)
    # Whether it may be opened: demos at once, live accounts once their owner's KYC is approved.
    is_approved = models.BooleanField(default=True)
    # Whether the engine has confirmed that the account exists.
    is_open = models.BooleanField(default=False)
    # Last cash_seq that was given to an outbox row.
    cash_seq_last = models.BigIntegerField(default=0)
    # The client's id of the request that opened it, and the name that it asked for; empty for the first one, and for live accounts.
    request_id = models.CharField(max_length=64, blank=True)
    request_name = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                name="profile_account_one_default", fields=("user",), condition=Q(is_default=True)
            ),
            models.UniqueConstraint(
                name="profile_account_request_id_once",
                fields=("user", "request_id"),
                condition=~Q(request_id=""),
            ),
            models.CheckConstraint(
                name="profile_account_cash_seq_not_negative", condition=Q(cash_seq_last__gte=0)
            ),
        )

    @override
    def __str__(self) -> str:
        return str(self.pk)


class CashRequest(models.Model):
    """A wish to move money, as people see it; the projector moves its state with the output that decided it."""

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=CashKind.choices)
    # Micro-USD; positive, but an adjustment may be negative.
    amount_micros = models.BigIntegerField()
    # Where the money comes from or goes to: names the ledger account cash:<method>.
    method = models.CharField(max_length=32)
    # The provider's reference; with the method it is credited once.
    reference = models.CharField(max_length=128, blank=True)
    state = models.CharField(max_length=10, choices=CashState.choices, default=CashState.PENDING)
    # The client's id of the request; empty for what the system asks for.
    request_id = models.CharField(max_length=64, blank=True)
    # Where a withdrawal goes, as its provider writes it.
    destination = models.CharField(max_length=140, blank=True)
    # The two people who have approved it; never the same, and never the owner.
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    # Code of the refusal.
    code = models.CharField(max_length=48, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)
        permissions = (("approve_cashrequest", "Can approve and return cash requests"),)
        constraints = (
            models.UniqueConstraint(
                name="profile_cash_request_id_once",
                fields=("account", "request_id"),
                condition=~Q(request_id=""),
            ),
            models.CheckConstraint(
                name="profile_cash_request_four_eyes",
                condition=Q(settled_by=None)
                | (Q(approved_by__isnull=False) & ~Q(settled_by=models.F("approved_by"))),
            ),
            models.UniqueConstraint(
                name="profile_cash_request_reference_once",
                fields=("method", "reference"),
                condition=Q(kind=CashKind.DEPOSIT) & ~Q(reference=""),
            ),
            models.CheckConstraint(
                name="profile_cash_request_amount_signed",
                condition=Q(amount_micros__gt=0)
                | (Q(kind=CashKind.ADJUSTMENT) & Q(amount_micros__lt=0)),
            ),
        )

    @override
    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class CashOutbox(models.Model):
    """One cash command on its way: sent again, in order of cash_seq, until the engine has answered."""

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="+")
    # The account's gapless number of cash commands.
    cash_seq = models.BigIntegerField()
    request = models.ForeignKey(CashRequest, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=CashKind.choices)
    amount_micros = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    # When the engine's answer was heard; empty while the row is to be sent.
    answered_at = models.DateTimeField(null=True)
    # Code of the engine's refusal, for whoever waits for the answer; the projector's word is the request's state.
    answer_code = models.CharField(max_length=48, blank=True)

    class Meta:
        ordering = ("account", "cash_seq")
        verbose_name = "cash command"
        constraints = (
            models.UniqueConstraint(name="profile_outbox_cash_seq", fields=("account", "cash_seq")),
        )
        indexes = (
            models.Index(
                name="profile_outbox_to_send",
                fields=("account", "cash_seq"),
                condition=Q(answered_at__isnull=True),
            ),
        )

    @override
    def __str__(self) -> str:
        return f"{self.account_id}/{self.cash_seq}"


class KycFile(models.Model):
    """What a person has told about who they are, and what staff made of it."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    state = models.CharField(max_length=10, choices=KycState.choices, default=KycState.SUBMITTED)
    full_name = models.CharField(max_length=120)
    birth_date = models.DateField()
    # ISO 3166-1 alpha-2.
    country = models.CharField(max_length=2)
    address = models.CharField(max_length=240)
    document_kind = models.CharField(max_length=20)
    document_number = models.CharField(max_length=40)
    submitted_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    # What the person is told when it is rejected.
    reason = models.CharField(max_length=200, blank=True)
    # An approval ends then.
    expires_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-submitted_at", "-id")
        verbose_name = "KYC file"
        permissions = (("decide_kycfile", "Can approve and reject KYC files"),)

    @override
    def __str__(self) -> str:
        return str(self.pk)


class KycDocument(models.Model):
    """A picture or scan that a person has handed in; its content is sealed, and shown to staff only."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    # What its owner's file was called.
    name = models.CharField(max_length=80)
    # Found out from the content.
    content_type = models.CharField(max_length=32)
    # Bytes.
    size = models.PositiveIntegerField()
    # Of the content, hexadecimal.
    sha256 = models.CharField(max_length=64)
    # The content, encrypted by the key ring of settings.API_KEY_KEYS.
    content_sealed = models.BinaryField()
    uploaded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)
        verbose_name = "KYC document"
        constraints = (
            models.UniqueConstraint(name="profile_kyc_document_once", fields=("user", "sha256")),
        )

    @override
    def __str__(self) -> str:
        return self.name
