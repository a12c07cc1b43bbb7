"""Takes the second factors from somebody who has lost them: staff does it, the person is told, and the audit log keeps why."""

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.utils.translation import gettext_noop

from apps.auth.models import User
from apps.auth.services.factors import factor_is_set_up
from apps.auth.services.people import sessions_end_all
from apps.common.audit import audit_note
from apps.common.clock import now_us
from apps.common.errors import ServiceError
from apps.notifications.facade import NoticeEvent, notify


@transaction.atomic
def factors_remove(*, user: User, staff_id: int, reason: str) -> None:
    """Delete a person's second factors and recovery codes and sign the person out everywhere.

    Errors: ServiceError FOUR_EYES for one's own, SECOND_FACTOR_NEEDED where there is none.
    """
    if user.pk == staff_id:
        raise ServiceError(
            "FOUR_EYES", "another member of the staff removes yours", http_status=403
        )
    if not factor_is_set_up(user):
        raise ServiceError(
            "SECOND_FACTOR_NEEDED", "this person has no second factor", http_status=403
        )
    sessions_end_all(user=user)
    Authenticator.objects.filter(user=user).delete()
    notify(
        user.pk,
        NoticeEvent.FACTOR_CHANGED,
        {"what": gettext_noop("The second factor was removed by our staff"), "ip": ""},
        f"factor:{user.pk}:{now_us()}",
    )
    audit_note("factor_removed", actor_id=staff_id, user=str(user.pk), reason=reason)
