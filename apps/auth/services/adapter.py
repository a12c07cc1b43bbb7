"""What this product changes in allauth's account flows."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest
from typing_extensions import override


class AccountAdapter(DefaultAccountAdapter):
    """allauth's sign-in without its sign-up and its on-screen messages."""

    @override
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        # The first use of a sign-in link creates the user; there is no second way in.
        return False

    @override
    def get_client_ip(self, request: HttpRequest) -> str:
        # The ASGI server has resolved trusted proxies; on a Unix socket there is no address, and allauth wants one.
        return request.META.get("REMOTE_ADDR") or "::"

    @override
    def add_message(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        # "Signed in as" would wait in the session for a page that shows such messages.
        return
