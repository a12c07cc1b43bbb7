"""What signed API keys may do: nothing that a view does not name, and only on the account that they are bound to."""

from typing import Any, Final, Literal

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from typing_extensions import override

from apps.common.errors import ServiceError

Scope = Literal["read", "trade"]
# For the attribute `key_scopes` of a view that keeps to `account_bound`.
READ_AND_TRADE: Final[dict[str, Scope]] = {"GET": "read", "HEAD": "read", "POST": "trade"}
READ_ONLY: Final[dict[str, Scope]] = {"GET": "read", "HEAD": "read"}


class KeyMay(BasePermission):
    """Lets a signed request pass only where the view names a scope for its method, and the key has it."""

    @override
    def has_permission(self, request: Request, view: Any) -> bool:
        if not getattr(request.user, "key_id", ""):
            return True
        scopes: dict[str, Scope] = getattr(view, "key_scopes", {})
        scope = scopes.get(request.method or "")
        if scope is None:
            raise ServiceError(
                "KEY_FORBIDDEN", "API keys are not taken here: sign in for this", http_status=403
            )
        if not getattr(request.user, f"may_{scope}"):
            raise ServiceError(
                "KEY_SCOPE_MISSING",
                f"this key lacks the scope {scope!r}",
                http_status=403,
                data={"scope": scope},
            )
        return True


def account_bound(request: Request) -> int | None:
    """Return the only account that the sender may name, None if all of the user's may be named."""
    account_id = (
        getattr(request.user, "account_id", None) if getattr(request.user, "key_id", "") else None
    )
    return account_id if isinstance(account_id, int) else None


def account_require(request: Request, account_id: int | None) -> int | None:
    """Return the account that is meant: the named one, or for a key its own.

    Errors: ServiceError KEY_ACCOUNT_FORBIDDEN if a key names another one.
    """
    bound = account_bound(request)
    if bound is None or account_id == bound:
        return account_id
    if account_id is None:
        return bound
    raise ServiceError(
        "KEY_ACCOUNT_FORBIDDEN",
        f"this key is bound to account {bound} and cannot name account {account_id}",
        http_status=403,
        data={"account": account_id, "accountOfKey": bound},
    )
