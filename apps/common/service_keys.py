"""Keys of programs that serve this installation, such as an operator's own scheduler: `Authorization: Service <key>`.

SERVICE_KEYS holds a name and the SHA-256 of each key, never the key. Such a program is nobody: it may do what a view lets services
do, and has neither accounts nor the admin.
"""

import hashlib
import hmac
from typing import Any, Final

from django.conf import settings
from rest_framework.authentication import get_authorization_header
from rest_framework.request import Request
from typing_extensions import override

from apps.common.step_up import StaffMay

_SCHEME: Final = b"service"
_KEY_BYTES_MAX: Final = 256


class IsStaffOrService(StaffMay):
    """Lets staff that have shown a second factor pass, and programs with a service key."""

    @override
    def has_permission(self, request: Request, view: Any) -> bool:
        return super().has_permission(request, view) or service_name(request) is not None


def service_name(request: Request) -> str | None:
    """Return the name under which the installation knows the sender's service key; None without a known one."""
    scheme, _, key = get_authorization_header(request).partition(b" ")
    if scheme.lower() != _SCHEME or not 0 < len(key) <= _KEY_BYTES_MAX:
        return None
    digest = hashlib.sha256(key.strip()).hexdigest()
    names = [
        name
        for name, stored in settings.SERVICE_KEYS.items()
        if hmac.compare_digest(digest, stored)
    ]
    return names[0] if names else None
