"""Runs the ASGI application in the main thread: uvicorn by default, Daphne by ASGI_SERVER=daphne.

The port is bound before anything else starts, so that a busy one costs no waiting.
"""

import asyncio
import contextlib
import errno
import ipaddress
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import Any

from cryptocfd.embedded.errors import SetupError

# Browsers send one small command at a time; prices only flow the other way.
_SOCKET_MESSAGE_BYTES_MAX = 16 * 1024
# Open sockets are told to go and then cut; requests in work get this long.
_DRAIN_SECONDS = 1
_BACKLOG = 2048

Hook = Callable[[], Awaitable[None]]


def port_bind(host: str, port: int) -> socket.socket:
    """Return a bound socket.

    Errors: SetupError that says how to choose another port or host.
    """
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        family = socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = (
                f"Port {port} on {host} is in use: stop the program that uses it, or choose another "
                f"one, for example `make run PORT={port + 1 if port < 65535 else 8000}`."
            )
        elif error.errno == errno.EACCES:
            reason = (
                f"Port {port} needs the rights of an administrator: choose one above 1023, for "
                "example `make run PORT=8000`."
            )
        else:
            reason = (
                f"HOST={host} is not an address of this machine ({error.strerror or error}): use "
                "127.0.0.1 for this machine only, or 0.0.0.0 for every network."
            )
        raise SetupError(reason) from error


def web_run(
    application: Any, listener: socket.socket, *, server: str, on_ready: Callable[[], None]
) -> None:
    """Serve until SIGINT or SIGTERM; return when every connection is closed and the application has shut down."""
    if server == "daphne":
        _daphne_run(application, listener, on_ready)
    else:
        _uvicorn_run(application, listener, on_ready)


def _uvicorn_run(application: Any, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                on_ready()

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            # uvicorn raises the signal again when it is done; here more has to be stopped in order after it.
            previous = {number: signal.getsignal(number) for number in _SIGNALS}

            def handle(_number: int, _frame: FrameType | None) -> None:
                self.should_exit = True

            for number in _SIGNALS:
                signal.signal(number, handle)
            try:
                yield
            finally:
                for number, handler in previous.items():
                    signal.signal(number, handler)

    config = uvicorn.Config(
        application,
        lifespan="on",
        # The sansio implementation waits for a slow reader instead of buffering without end.
        ws="websockets-sansio",
        ws_max_size=_SOCKET_MESSAGE_BYTES_MAX,
        # Compression costs 300 KiB per connection and little is gained on small frames.
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    Server(config).run(sockets=[listener])


def _daphne_run(application: Any, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    from daphne.server import Server
    from twisted.internet import reactor

    loop = asyncio.get_event_loop_policy().get_event_loop()
    server = Server(
        application=application,
        endpoints=[f"fd:fileno={listener.fileno()}"],
        signal_handlers=False,
        websocket_timeout=-1,
        server_name="",
        ready_callable=on_ready,
    )

    def handle(_number: int, _frame: FrameType | None) -> None:
        reactor.callFromThread(reactor.stop)  # type: ignore[attr-defined]  # Twisted installs the methods at run time.

    for number in _SIGNALS:
        signal.signal(number, handle)
    server.run()
    loop.close()


_SIGNALS = (signal.SIGINT, signal.SIGTERM)
