"""Replies: the one terminal answer to a command. Refusals are values."""

from typing import final

import msgspec

from engine.messages.rejects import RejectCode


class Accepted(msgspec.Struct, frozen=True, gc=False, tag=True, kw_only=True, omit_defaults=True):
    """The command was carried out; the events of the same output say how."""

    # Order or position ids that the command created.
    created: tuple[str, ...] = ()
    # Positions that a CloseAll passed over because they cannot fill now.
    passed_over: tuple[str, ...] = ()
    # Where the next page of a paged command starts; 0: there is none.
    next_account: int = 0


@final
class Rejected(msgspec.Struct, frozen=True, gc=False, tag=True, kw_only=True, omit_defaults=True):
    """The command was refused and changed nothing but the table of answered request ids."""

    code: RejectCode
    # The numbers behind the refusal; unit in each name.
    data: dict[str, int | str] = {}


class Duplicate(msgspec.Struct, frozen=True, gc=False, tag=True, kw_only=True):
    """The same request id and content was answered before, by the output of this id."""

    output_id: str


AnyReply = Accepted | Rejected | Duplicate
