"""What views read from a request beside its body."""

import os
import re
from itertools import count
from typing import Final
from uuid import uuid4

from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from apps.common.errors import ServiceError

# Longer ids than the engine takes, or with other signs than these, are refused at every edge.
REQUEST_ID: Final = re.compile(r"\A[A-Za-z0-9._:-]{1,64}\Z", re.ASCII)
# The same for the OpenAPI document, whose regular expressions are those of JavaScript.
REQUEST_ID_PATTERN: Final = r"^[A-Za-z0-9._:-]{1,64}$"
REQUEST_ID_WORDS: Final = "1 to 64 letters, digits, dots, colons, hyphens or underscores"


class _Ids:
    """Ids that no other process makes: a random beginning for each process, and a number."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self._beginning = uuid4().hex[:20]
        self._numbers = count(1)

    def make(self) -> str:
        return f"{self._beginning}{next(self._numbers):012x}"


_ids: Final = _Ids()
os.register_at_fork(after_in_child=_ids.renew)


def request_id_make() -> str:
    """Return a new request id for a request that came without one."""
    # Not a random one each time: asking the kernel for randomness lets other threads take over, which costs an order more than
    # all the rest of its validation.
    return _ids.make()


def user_id_of(request: Request) -> int:
    """Return the id of who is signed in.

    Errors: NotAuthenticated (401) if nobody is; the permission of the view normally says so before.
    """
    user_id = request.user.pk
    if not isinstance(user_id, int):
        raise NotAuthenticated
    return user_id


def idempotency_key_of(request: Request, *, is_required: bool = False) -> str:
    """Return the header Idempotency-Key, or a new id where it may be absent.

    Errors: ServiceError INVALID.
    """
    header = request.headers.get("Idempotency-Key")
    if header is None and not is_required:
        return request_id_make()
    if not REQUEST_ID.fullmatch(header or ""):
        raise ServiceError(
            "INVALID",
            f"Idempotency-Key: expected {REQUEST_ID_WORDS}, found {'none' if header is None else repr(header)[:70]}",
            data={"field": "Idempotency-Key"},
        )
    return str(header)
