"""Whom a request comes from: the peer itself, unless it is a proxy that the operator has named."""

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# The platform's own server in front of an application that says who asks.
_SERVE = """
import socket

from cryptocfd.web_server import web_run

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        for word in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{word}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["client"][0].encode()})

listener = socket.create_server(("127.0.0.1", 0))
web_run(
    application,
    listener,
    server="uvicorn",
    on_ready=lambda: print(listener.getsockname()[1], flush=True),
    on_signal=lambda: None,
)
"""
FORGED = "198.51.100.1"
CLIENT = "203.0.113.7"


@contextmanager
def serving(**environment: str) -> Iterator[int]:
    """Run such a server; yield its port."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def asker_at(port: int, forwarded_for: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/", headers={"X-Forwarded-For": forwarded_for})
    try:
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_s24_a_forwarding_header_of_who_is_no_named_proxy_means_nothing() -> None:
    with serving(FORWARDED_ALLOW_IPS="10.9.8.7") as port:
        assert asker_at(port, FORGED) == "127.0.0.1"


def test_s24_behind_a_named_proxy_what_the_client_has_forged_before_it_means_nothing() -> None:
    with serving(FORWARDED_ALLOW_IPS="127.0.0.1") as port:
        assert asker_at(port, CLIENT) == CLIENT
        # A proxy appends whom it heard it from to what it was sent.
        assert asker_at(port, f"{FORGED}, {CLIENT}") == CLIENT
