"""The admin of everything that only the engine or the program itself may write: to look at, never to touch.

Money, prices and quantities are shown as exact decimals, from the integers that are stored.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from typing_extensions import override
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from apps.common.audit import audit_note
from apps.common.money import MICRO_DECIMALS
from engine.values import text_from_scaled

# Adding microseconds to it is exact; dividing them would go through a float.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A group that is given every right has a long line; beyond it nobody reads.
_TEXT_MAX = 4000


def admin_page(app: str, model: str) -> ModelAdmin:
    """Return the page of a model, by the names of its app and its own in lower case."""
    label = f"{app}.{model}"
    pages = admin.site._registry.values()  # noqa: SLF001 - the site finds them by class only.
    return next(page for page in pages if page.opts.label_lower == label)


class AuditedAdmin(ModelAdmin):
    """Writes what staff does into the audit log, beside Django's own history."""

    # Fields that say who somebody is: that they changed is kept for ever, what they were is not.
    personal_fields: frozenset[str] = frozenset()

    @override
    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._audit(request, obj, "admin_change", message)
        return super().log_change(request, obj, message)

    @override
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._audit(request, obj, "admin_addition", message)
        return super().log_addition(request, obj, message)

    @override
    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for row in queryset:
            self._audit(request, row, "admin_deletion", str(row))
        return super().log_deletions(request, queryset)

    @override
    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> str:
        # Django would name the fields only: who looks into it later must see what they were and became.
        texts = [
            f"{form.fields[name].label or name}: changed"
            if name in self.personal_fields
            else _change_text(form, name, is_new=add)
            for name in form.changed_data
        ]
        return "; ".join(texts) or "nothing"

    def _audit(self, request: HttpRequest, obj: Any, event: str, message: Any) -> None:
        audit_note(
            event,
            actor_id=request.user.pk,
            ip=request.META.get("REMOTE_ADDR") or None,
            model=self.opts.label,
            id=str(obj.pk),
            what=str(message)[:_TEXT_MAX],
        )


def _change_text(form: Any, name: str, *, is_new: bool) -> str:
    before, after = form.initial.get(name), form.cleaned_data.get(name)
    label = form.fields[name].label or name
    if isinstance(after, Iterable) and not isinstance(after, str):
        old, new = set(map(str, before or ())), set(map(str, after))
        changes = [f"+{text}" for text in sorted(new - old)]
        changes += [f"-{text}" for text in sorted(old - new)]
        return f"{label}: {', '.join(changes)}"
    return f"{label}: {'' if is_new else f'{_word(before)} -> '}{_word(after)}"


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in {None, ""} else str(value)


class ReadOnlyAdmin(AuditedAdmin):
    """Lists and shows rows; adds, changes and deletes none, whoever asks."""

    actions: Sequence[str] = ()
    # Rights to decide on these rows: whoever has one sees them too.
    rights: tuple[str, ...] = ()
    # What is decided in a list is looked at row by row; and nobody has counted how many all of them would be.
    list_disable_select_all = True
    # What somebody who wants a new row does instead: a sentence, and a route of the admin with its title.
    instead: tuple[str, str, str] | None = None
    # Counting a ledger of millions for each page would cost more than the page.
    paginator = InfinitePaginator
    show_full_result_count = False

    # What those of waiting() are, and the query of the list that shows them.
    waiting_title = ""
    waiting_query = ""

    def waiting(self) -> QuerySet[Any] | None:
        """Return the rows that wait for somebody of the staff; None where no row ever does."""
        return None

    @override
    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_judge = any(request.user.has_perm(right) for right in self.rights)
        return is_judge or super().has_view_permission(request, obj)

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @override
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Refuse, and say what is done instead."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        back = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
        hint, way, title = self.instead or ("", back, "Back to the list")
        context = {
            **self.admin_site.each_context(request),
            "title": f"Add {self.opts.verbose_name}",
            "opts": self.opts,
            "hint": hint,
            "way": reverse(way),
            "way_title": title,
        }
        return TemplateResponse(request, "admin/not_added.html", context, status=403)

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def exact_column(
    field: str, *, title: str, decimals: int | Callable[[Any], int | None] = MICRO_DECIMALS
) -> Callable[[Model], str]:
    """Return a column that shows a scaled integer as decimal text, and sorts by the integer.

    Units: `decimals` places behind the point, micro-USD if not given, or a function of the row; where
    that knows none, the integer is shown as it is and says so.
    """

    @admin.display(description=title, ordering=field)
    def column(row: Model) -> str:
        value = getattr(row, field)
        if value is None:
            return "-"
        places = decimals if isinstance(decimals, int) else decimals(row)
        return f"{value} (unscaled)" if places is None else text_from_scaled(value, places)

    # Django names the column in the page after the function.
    column.__name__ = f"{field}_exact"
    return column


def time_column(field: str, *, title: str) -> Callable[[Model], str]:
    """Return a column that shows microseconds since 1970 as a time in UTC, to the microsecond."""

    @admin.display(description=title, ordering=field)
    def column(row: Model) -> str:
        value = getattr(row, field)
        if value is None:
            return "-"
        return f"{_EPOCH + timedelta(microseconds=value):%Y-%m-%d %H:%M:%S.%f}"

    column.__name__ = f"{field}_time"
    return column


def value_filter(field: str, values: type[StrEnum], *, title: str) -> type[admin.SimpleListFilter]:
    """Return a filter by one of the values that a column can have.

    Django's own filter would read every row of the table to find them.
    """
    choices = tuple((value.value, value.value.replace("_", " ")) for value in values)

    class ValueFilter(admin.SimpleListFilter):
        parameter_name = field

        @override
        def lookups(
            self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]"
        ) -> tuple[tuple[str, str], ...]:
            return choices

        @override
        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            value = self.value()
            return queryset if value is None else queryset.filter(**{field: value})

    ValueFilter.title = title
    return ValueFilter
