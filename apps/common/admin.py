"""The outbox in the admin: what waits, what was carried out, and why something was not."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from typing_extensions import override
from unfold.decorators import display

from apps.common.models import AuditEntry, OutboxEffect
from apps.common.money import MICRO_DECIMALS
from apps.common.outbox import outbox_try_again
from apps.common.read_only_admin import ReadOnlyAdmin, time_column
from engine.values import text_from_scaled


class FateFilter(admin.SimpleListFilter):
    """Effects by what became of them; those given up are the dead letters."""

    title = "fate"
    parameter_name = "fate"

    @override
    def lookups(
        self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]"
    ) -> tuple[tuple[str, str], ...]:
        return (
            ("given-up", "given up"),
            ("failing", "failing"),
            ("waiting", "waiting"),
            ("done", "done"),
        )

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        waiting = {"done_at__isnull": True, "given_up_at__isnull": True}
        by_fate: dict[str | None, dict[str, Any]] = {
            "given-up": {"given_up_at__isnull": False},
            "failing": {**waiting, "failures__gt": 0},
            "waiting": waiting,
            "done": {"done_at__isnull": False},
        }
        return queryset.filter(**by_fate.get(self.value(), {}))


@admin.register(OutboxEffect)
class OutboxEffectAdmin(ReadOnlyAdmin):
    """Effects on their way, newest first; payloads hold addresses, so lists do not show them."""

    list_display = (
        "id",
        "key",
        "task",
        "created_at",
        "due_at",
        "failures",
        "last_error",
        "done_at",
        "given_up_at",
    )
    list_filter = (FateFilter,)
    search_fields = ("=key",)
    ordering = ("-id",)
    actions = ("try_again",)

    waiting_title = "Effects that were given up"
    waiting_query = "fate=given-up"

    @override
    def waiting(self) -> QuerySet[OutboxEffect]:
        return OutboxEffect.objects.filter(given_up_at__isnull=False)

    @admin.action(description="Try again what was given up", permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[OutboxEffect]) -> None:
        """Hand dead letters to the worker once more; whoever asks has looked whether they left after all."""
        count = outbox_try_again(queryset.values_list("pk", flat=True))
        self.message_user(request, f"{count} effects are tried again.", messages.SUCCESS)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)


_AT = time_column("at_us", title="time, UTC")
_MICROS = "Micros"


def _concerns(number: str) -> Q:
    """Return what names a person or an account among its facts."""
    return Q(facts__user=number) | Q(facts__account=number) | _of_model("accounts.User", number)


def _of_model(label: str, number: str) -> Q:
    return Q(facts__model=label, facts__id=number)


def _about(number: str) -> Q:
    """Return what a person has done, and what was done to the person; nothing without a number."""
    return (Q(actor_id=number) | _concerns(number)) if number else Q(pk__in=())


def _fact(name: str, text: str) -> str:
    if name.endswith(_MICROS) and text.removeprefix("-").isdigit():
        return f"{name.removesuffix(_MICROS)}: {text_from_scaled(int(text), MICRO_DECIMALS)} USD"
    return f"{name}: {text}"


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what, newest first; `manage.py verify_audit` proves that nothing was changed."""

    list_display = ("n", _AT, "deed", "actor", "address", "details")
    list_filter = ("event",)
    search_fields = ("=actor_id", "=ip")
    search_help_text = "An address or number of a person, an account, or a network address"
    ordering = ("-n",)
    fields = ("n", _AT, "deed", "actor", "address", "details", "proof")
    readonly_fields = fields

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        people = get_user_model().objects.filter(pk=OuterRef("actor_id")).values("email")
        return super().get_queryset(request).annotate(actor_email=Subquery(people[:1]))

    @override
    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """Find what a person has done and what was done to a person or an account."""
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        term = search_term.strip()
        if "@" in term:
            people = (
                get_user_model().objects.filter(email__iexact=term).values_list("pk", flat=True)
            )
            number = str(next(iter(people), ""))
            return queryset.filter(_about(number)), may_repeat
        return found | queryset.filter(_concerns(term)) if term.isdigit() else found, may_repeat

    @display(description="what", ordering="event", label=True)
    def deed(self, entry: AuditEntry) -> str:
        return entry.event.replace("_", " ")

    @admin.display(description="who", ordering="actor_id")
    def actor(self, entry: AuditEntry) -> str:
        """Return who it was; the number stays when the person is forgotten."""
        if entry.actor_id is None:
            return "nobody yet"
        email: str | None = getattr(entry, "actor_email", None)
        return f"{email} ({entry.actor_id})" if email else f"number {entry.actor_id}"

    @admin.display(description="from", ordering="ip")
    def address(self, entry: AuditEntry) -> str:
        return entry.ip or "-"

    @admin.display(description="details")
    def details(self, entry: AuditEntry) -> str:
        return ", ".join(_fact(name, text) for name, text in entry.facts.items()) or "-"

    @admin.display(description="digest")
    def proof(self, entry: AuditEntry) -> str:
        return bytes(entry.digest).hex()
