"""What views read from a request beside its body."""

from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request


def user_id_of(request: Request) -> int:
    """Return the id of who is signed in.

    Errors: NotAuthenticated (401) if nobody is; the permission of the view normally says so before.
    """
    user_id = request.user.pk
    if not isinstance(user_id, int):
        raise NotAuthenticated
    return user_id
