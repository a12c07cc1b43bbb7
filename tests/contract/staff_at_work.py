"""The staff of a running installation, for `manage.py shell`: two people decide what waits for them, until the process is ended.

First it makes who asks a member of the staff too, with a second factor, and prints the codes to sign in with. It also hands out
sign-in links of new people to whoever asks on this machine: what a mail is to a person.
"""

import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count

from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes

from apps.auth.facade import login_link_create
from apps.auth.models import User
from apps.common.errors import ServiceError
from apps.profile.choices import CashKind, CashState, KycState
from apps.profile.models import CashRequest, KycFile
from apps.profile.services.kyc import kyc_decide
from apps.profile.services.requests import request_approve
from tests.apps.second_factor import guard
from tests.contract.signals import CODES, PEOPLE, READY

ASKERS = ("alice@example.com", "charlie@example.com")


def _say(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def askers_prepare() -> None:
    for email in ASKERS:
        user = User.objects.get(email=email)
        user.is_staff = True
        user.save(update_fields=["is_staff"])
        codes = RecoveryCodes.activate(guard(user)).get_unused_codes()
        _say(CODES, email, *codes)


class Links(BaseHTTPRequestHandler):
    """Answers each request by the link of somebody new."""

    numbers = count()

    def do_GET(self) -> None:
        link = login_link_create(f"new{next(self.numbers)}@example.com").url.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(link)))
        self.end_headers()
        self.wfile.write(link)

    def log_message(self, *_what: object) -> None:
        """Say nothing: the output is read for the signals."""


def links_offer() -> None:
    server = HTTPServer(("127.0.0.1", 0), Links)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _say(PEOPLE, f"http://127.0.0.1:{server.server_port}/")


def work(first: User, second: User) -> None:
    """Approve every file, and every deposit but those by bank, whose money has not come yet."""
    files = KycFile.objects.filter(state=KycState.SUBMITTED).order_by("pk")
    for file_id in files.values_list("pk", flat=True):
        _decided(kyc_decide, file_id=file_id, staff_id=first.pk, is_approved=True, reason="")
    waiting = CashRequest.objects.filter(kind=CashKind.DEPOSIT, state=CashState.REQUESTED)
    for cash_id in waiting.exclude(method="bank").order_by("pk").values_list("pk", flat=True):
        for person in (first, second):
            _decided(request_approve, cash_id=cash_id, staff_id=person.pk)


def _decided(decide: Callable[..., object], **what: object) -> None:
    try:
        decide(**what)
    except ServiceError as error:
        # Its owner has taken it back at the same moment.
        _say(error.code)


def run() -> None:
    askers_prepare()
    links_offer()
    first, second = (
        User.objects.create(email=f"{name}@example.com", is_staff=True) for name in ("eve", "frank")
    )
    _say(READY)
    while True:
        work(first, second)
        time.sleep(0.5)
