"""The kill switch: trading in one instrument or in all of them is opened, limited to closing, or halted, by two people.

    waiting -> (another person) -> confirmed -> done | refused
    waiting -> withdrawn, or too old

The second person's word is written together with an effect of the outbox, carried out at once and repeated until the engine has
answered; the mode itself is an entry of the log, so it outlives every restart.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone

from apps.common.audit import audit_note
from apps.common.engine_gateway import engine_gateway
from apps.common.errors import ServiceError
from apps.common.models import OutboxEffect
from apps.common.outbox import outbox_add, outbox_run, outbox_task
from apps.market.choices import ModeChangeState
from apps.market.models import ModeChange
from apps.market.selectors import instrument_resolve
from engine.messages.commands import SetTradingMode
from engine.messages.replies import Rejected
from engine.values import Actor, TradingMode

# A wish that nobody has confirmed in this time was made for a market that has passed.
WAITS: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class ModeWish:
    """What a member of the staff asks for."""

    # None: every instrument.
    symbol: str | None
    trading_mode: TradingMode
    reason: str
    staff_id: int


def mode_change_ask(wish: ModeWish) -> ModeChange:
    """Write the wish down; nothing is sent before another person has confirmed it.

    Errors: SymbolUnknownError.
    """
    symbol = "" if wish.symbol is None else instrument_resolve(wish.symbol).symbol
    with transaction.atomic():
        change = ModeChange.objects.create(
            symbol=symbol,
            trading_mode=wish.trading_mode.value,
            reason=wish.reason,
            asked_by_id=wish.staff_id,
        )
        _note(change, "trading_mode_asked", wish.staff_id)
    return change


def mode_change_confirm(*, change_id: int, staff_id: int) -> ModeChange:
    """Confirm a wish as the second person, and have the engine told at once.

    Returns the change as it stands then: `confirmed` means that the engine has not answered yet and will be asked again.
    Errors: ServiceError FOUR_EYES, MODE_CHANGE_STATE.
    """
    with transaction.atomic():
        change = _waiting_locked(change_id)
        if change.asked_by_id == staff_id:
            raise ServiceError("FOUR_EYES", "a second person has to confirm it", http_status=403)
        if is_too_old(change):
            raise ServiceError(
                "MODE_CHANGE_STATE",
                f"expected a wish of the last {WAITS.seconds // 60} minutes, this one is older: ask again",
                http_status=409,
            )
        change.confirmed_by_id, change.confirmed_at = staff_id, timezone.now()
        change.state = ModeChangeState.CONFIRMED
        change.save(update_fields=["confirmed_by", "confirmed_at", "state"])
        _note(change, "trading_mode_confirmed", staff_id)
        outbox_add(mode_change_send, key=_key(change), change_id=change.pk)
    # The worker would do it too, a little later; this is for a second in which much may be lost.
    outbox_run(OutboxEffect.objects.values_list("pk", flat=True).get(key=_key(change)))
    change.refresh_from_db()
    return change


def mode_change_withdraw(*, change_id: int, staff_id: int) -> ModeChange:
    """Take back a wish that nobody has confirmed.

    Errors: ServiceError MODE_CHANGE_STATE.
    """
    with transaction.atomic():
        change = _waiting_locked(change_id)
        change.state = ModeChangeState.WITHDRAWN
        change.save(update_fields=["state"])
        _note(change, "trading_mode_withdrawn", staff_id)
    return change


def is_too_old(change: ModeChange) -> bool:
    """Return whether a wish has waited for too long to be confirmed."""
    return timezone.now() - change.asked_at > WAITS


@outbox_task
def mode_change_send(*, change_id: int) -> None:
    """Send SetTradingMode to every shard and note the answer; sent again, the engine answers the same.

    Errors: EngineTimeoutError and EngineBusyError, after which the outbox tries again.
    """
    change = ModeChange.objects.get(pk=change_id)
    output = engine_gateway().send_sync(
        SetTradingMode(
            request_id=f"mode-change-{change.pk}",
            actor=Actor.OPERATOR,
            # Whose word made it happen; the audit log has both.
            staff_id=change.confirmed_by_id or 0,
            reason=change.reason,
            source="operator",
            trading_mode=TradingMode(change.trading_mode),
            symbol=change.symbol or None,
        )
    )
    change.state = ModeChangeState.DONE
    if isinstance(output.reply, Rejected):
        change.state, change.code = ModeChangeState.REFUSED, output.reply.code.value
    change.save(update_fields=["state", "code"])


def _key(change: ModeChange) -> str:
    return f"mode-change:{change.pk}"


def _waiting_locked(change_id: int) -> ModeChange:
    change = ModeChange.objects.select_for_update().get(pk=change_id)
    if change.state != ModeChangeState.WAITING:
        raise ServiceError(
            "MODE_CHANGE_STATE",
            f"expected a wish that waits for a second person, found one that is {change.state}",
            http_status=409,
        )
    return change


def _note(change: ModeChange, event: str, actor_id: int) -> None:
    audit_note(
        event,
        actor_id=actor_id,
        change=str(change.pk),
        symbol=change.symbol or "all",
        mode=change.trading_mode,
        reason=change.reason,
    )
