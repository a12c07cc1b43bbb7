"""A person's phone number: asked for, proved by a code that was sent to it, and only then used."""

import hmac
import secrets
from datetime import timedelta
from typing import Final

import phonenumbers
from django.conf import settings
from django.db.models import F
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.crypto import salted_hmac
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from apps.common.audit import audit_note
from apps.common.errors import ServiceError
from apps.common.outbox import outbox_add
from apps.common.rate_limits import rate_limit_require, rate_limits_parse
from apps.common.sealing import SealBrokenError, seal, unseal
from apps.notifications import selectors
from apps.notifications.choices import NoticeEvent
from apps.notifications.models import Reach
from apps.notifications.services.letters import sms_send, sms_task
from apps.notifications.services.telling import Wish, tell
from apps.notifications.services.wishes import language_note

CODE_TRIES_MAX: Final = 5
CODE_LIFE: Final = timedelta(minutes=10)
_CODE_DIGITS: Final = 6
# Each costs the operator money, and could be sent to somebody who does not want it.
_CODES: Final = ("1/m", "5/h", "10/d")


def phone_ask(*, user_id: int, phone: str) -> None:
    """Send a code to a number; the former number counts until the code has come back.

    Errors: ServiceError PHONE_INVALID, RATE_LIMITED, UNAVAILABLE.
    """
    number = _number_checked(phone)
    for key in (f"phone:user:{user_id}", f"phone:number:{number}"):
        rate_limit_require(key=key, limits=rate_limits_parse(list(_CODES)), what="codes were sent")
    # The row below would say the site's own language to whoever has chosen none and reads another.
    language_note(user_id=user_id, language=get_language() or settings.LANGUAGE_CODE)
    code = f"{secrets.randbelow(10**_CODE_DIGITS):0{_CODE_DIGITS}d}"
    Reach.objects.update_or_create(
        pk=user_id,
        defaults={
            "phone_asked": number,
            "code_digest": _digest(user_id, number, code),
            "code_tries": 0,
            "code_until": timezone.now() + CODE_LIFE,
        },
    )
    name = f"phone-code-{secrets.token_hex(12)}"
    language = selectors.reach_get(user_id=user_id).language
    outbox_add(phone_code_send, key=name, name=name, sealed=seal([number, code]), language=language)


@sms_task
def phone_code_send(*, name: str, sealed: str, language: str) -> None:
    """Send the code to the number, unless it has ended meanwhile."""
    try:
        number, code = unseal(sealed, age_s_max=int(CODE_LIFE.total_seconds()))
    except SealBrokenError:
        return
    minutes = CODE_LIFE // timedelta(minutes=1)
    with translation.override(language):
        text = render_to_string(
            "notifications/phone_code.txt", {"code": code, "minutes": minutes}
        ).strip()
    sms_send(name=name, to=number, text=text)


def phone_confirm(*, user_id: int, code: str) -> None:
    """Take the code of a number; from now on messages go there, and the person is told by mail.

    Errors: ServiceError PHONE_CODE_INVALID, PHONE_CODE_ENDED.
    """
    # Counted before it is looked at, so that parallel guesses cannot share a try.
    counted = Reach.objects.filter(
        pk=user_id, code_tries__lt=CODE_TRIES_MAX, code_until__gt=timezone.now()
    ).update(code_tries=F("code_tries") + 1)
    reach = selectors.reach_get(user_id=user_id)
    if not counted or not reach.code_digest:
        raise ServiceError("PHONE_CODE_ENDED", _("this code has ended: ask for a new one"))
    digest = _digest(user_id, reach.phone_asked, code)
    if not hmac.compare_digest(digest, reach.code_digest):
        raise ServiceError("PHONE_CODE_INVALID", _("this is not the code of the newest message"))
    # Only if nobody has asked for another number meanwhile.
    Reach.objects.filter(pk=user_id, code_digest=digest).update(
        phone=reach.phone_asked,
        phone_confirmed_at=timezone.now(),
        phone_asked="",
        code_digest="",
        code_until=None,
    )
    _tell(user_id, reach.phone_asked)


def phone_forget(*, user_id: int) -> None:
    """Take a person's number back; messages go by mail only, and the person is told so."""
    forgotten = (
        Reach.objects.filter(pk=user_id)
        .exclude(phone="", phone_asked="")
        .update(phone="", phone_confirmed_at=None, phone_asked="", code_digest="", code_until=None)
    )
    if forgotten:
        _tell(user_id, "")


def _tell(user_id: int, number: str) -> None:
    # Enough to know it again, and no more than that in a mailbox.
    audit_note("phone_changed", actor_id=user_id)
    facts = {"phone": f"…{number[-4:]}" if number else "-"}
    tell([Wish(user_id, NoticeEvent.PHONE_CHANGED, f"phone:{secrets.token_hex(12)}", facts)])


def _number_checked(text: str) -> str:
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_valid_number(number):
        raise ServiceError(
            "PHONE_INVALID",
            _("expected a phone number with its country code, such as +43 660 1234567"),
            data={"field": "phone"},
        )
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _digest(user_id: int, number: str, code: str) -> str:
    return salted_hmac(
        "cryptocfd.phone-code", f"{user_id}:{number}:{code}", algorithm="sha256"
    ).hexdigest()
