"""The door of this app: tell somebody something, by whatever way that person wants.

Other apps enter here only. Call it in the transaction of what happened: the message stands or falls with that.
"""

from collections.abc import Collection, Mapping, Sequence

from apps.notifications import selectors
from apps.notifications.choices import NoticeEvent
from apps.notifications.services import wishes
from apps.notifications.services.letters import letter_write, mail_task
from apps.notifications.services.telling import Wish, tell, wanted

__all__ = [
    "NoticeEvent",
    "Wish",
    "language_chosen",
    "language_note",
    "language_of",
    "letter_write",
    "mail_task",
    "notices_wanted",
    "notify",
    "notify_all",
]


def notify(
    user_id: int,
    event: NoticeEvent,
    facts: Mapping[str, str],
    key: str,
    *,
    also_mail_to: str = "",
) -> None:
    """Tell a person about an event; told again under the same key, nothing happens.

    ``facts`` are plain text by the names that the event's template shows (templates/notifications/events/).
    ``also_mail_to`` is a former mail address that is to know too.
    """
    notify_all([Wish(user_id, event, key, facts, also_mail_to)])


def notify_all(wishes: Sequence[Wish]) -> None:
    """Tell many people, or one person many things, by a few statements."""
    # Nothing to tell needs no savepoint.
    if wishes:
        tell(wishes)


def notices_wanted(
    about: Collection[tuple[int, NoticeEvent]],
) -> set[tuple[int, NoticeEvent]]:
    """Return those of some pairs of user and event that would become a message, for who has much to tell to few."""
    return wanted(about)


def language_chosen(user_id: int) -> str | None:
    """Return the language that a person has chosen, None without a choice."""
    return selectors.language_chosen(user_id=user_id)


def language_note(user_id: int, language: str) -> None:
    """Write down the language that a person came with, unless one is known."""
    wishes.language_note(user_id=user_id, language=language)


def language_of(user_id: int) -> str:
    """Return the language that a person has chosen, the site's own without a choice."""
    return selectors.reach_get(user_id=user_id).language
