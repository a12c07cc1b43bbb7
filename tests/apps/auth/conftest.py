"""What the sign-in tests share: a real queue with a real worker, mails caught, and links taken from them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import django_rq
import pytest
from django.core import mail
from django.test import Client
from rq import SimpleWorker

from apps.auth.services.identities import session_cache
from apps.common.outbox import OutboxRelay


@dataclass(frozen=True)
class Mail:
    """One sign-in mail, read as its receiver would."""

    to: str
    url: str
    token: str
    code: str
    text: str
    html: str


@pytest.fixture(autouse=True)
def quick_hashes(settings) -> None:
    """Let a PIN cost microseconds; one test looks at the real costs."""
    settings.PASSWORD_HASHERS = ["tests.apps.quick_hashes.QuickArgon2"]


@pytest.fixture(autouse=True)
def fresh_session_cache() -> Iterator[None]:
    session_cache.clear()
    yield
    session_cache.clear()


@pytest.fixture
def queue(stream_prefix, embedded_servers):
    """The real queue, empty; the random prefix gives the limits of this test counters of its own."""
    queue = django_rq.get_queue("default")
    queue.empty()
    yield queue
    queue.empty()


@pytest.fixture
def mails(queue, mailoutbox) -> Callable[[], list[Mail]]:
    """Carry out what the outbox holds, by the real queue, and return all sign-in mails that have left so far."""

    def deliver() -> list[Mail]:
        worker = SimpleWorker([queue], connection=queue.connection, serializer=queue.serializer)
        while OutboxRelay().relay_once():
            worker.work(burst=True, logging_level="ERROR")
        return [_read(message) for message in mailoutbox if "/auth/verify?" in message.body]

    return deliver


def _read(message: mail.EmailMultiAlternatives) -> Mail:
    url = re.search(r"https?://\S+", message.body).group()
    return Mail(
        to=message.to[0],
        url=url,
        token=parse_qs(urlsplit(url).query)["token"][0],
        code=re.search(r"^\s+(\d{6})$", message.body, re.MULTILINE).group(1),
        text=message.body,
        html=message.alternatives[0].content,
    )


@pytest.fixture
def visitor() -> Client:
    """A browser: it keeps cookies, wants pages, and its posts need a CSRF token."""
    return Client(enforce_csrf_checks=True, headers={"accept": "text/html,*/*;q=0.8"})


@pytest.fixture
def other_visitor() -> Client:
    return Client(enforce_csrf_checks=True, headers={"accept": "text/html,*/*;q=0.8"})


@pytest.fixture
def program() -> Client:
    """A client without cookies that speaks JSON."""
    return Client(headers={"accept": "application/json"})


@pytest.fixture
def post_form() -> Callable:
    """Open a page and send its form, with the hidden fields that the page holds."""

    def post(client: Client, page: str, action: str, **fields: str):
        html = client.get(page).content.decode()
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html))
        return client.post(action, {**hidden, **fields})

    return post
