"""Runs the ASGI application in the main thread: uvicorn by default, Daphne by ASGI_SERVER=daphne.

The port is bound before anything else starts, so that a busy one costs no waiting.
"""

import asyncio
import contextlib
import errno
import ipaddress
import resource
import socket
from collections.abc import Callable, Iterator
from typing import Any, cast

from typing_extensions import override

from cryptocfd.embedded.errors import SetupError
from engine.adapters.signals import on_signals

_PING_SECONDS = 20.0
# Browsers send one small command at a time; prices only flow the other way.
_SOCKET_MESSAGE_BYTES_MAX = 16 * 1024
# Open sockets are told to go and then cut; requests in work get this long.
_DRAIN_SECONDS = 1
_BACKLOG = 2048
# Each socket is an open file, and many systems begin with 1,024.
_OPEN_FILES = 65_536


def port_bind(host: str, port: int) -> socket.socket:
    """Return a bound socket.

    Errors: SetupError that says how to choose another port or host.
    """
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        family = socket.AF_INET
    # With the protocol named, asyncio knows it for TCP and switches Nagle's algorithm off on every connection; without, an
    # answer of two writes waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
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
    return listener


def web_run(
    application: Any,
    listener: socket.socket,
    *,
    server: str,
    on_ready: Callable[[], None],
    on_signal: Callable[[], None],
) -> None:
    """Serve until SIGINT or SIGTERM; return when every connection is closed and the application has shut down.

    on_ready is called when connections are taken, on_signal at each signal, before anything has stopped.
    """
    open_files_allow()
    run = _daphne_run if server == "daphne" else _uvicorn_run
    run(application, listener, on_ready, on_signal)


def open_files_allow() -> None:
    """Let this process open as many files as the system lets it ask for, and as a web process can need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _uvicorn_run(
    application: Any,
    listener: socket.socket,
    on_ready: Callable[[], None],
    on_signal: Callable[[], None],
) -> None:
    import uvicorn

    from cryptocfd.web_socket import DirectWebSocket

    class Server(uvicorn.Server):
        @override
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                on_ready()

        @contextlib.contextmanager
        @override
        def capture_signals(self) -> Iterator[None]:
            # uvicorn raises the signal again when it is done; here more has to be stopped in order after it.
            def stop() -> None:
                on_signal()
                self.should_exit = True

            with on_signals(stop):
                yield

    config = uvicorn.Config(
        application,
        lifespan="on",
        # uvicorn's sansio implementation, which waits for a slow reader instead of buffering without end, with a way for prices.
        ws=DirectWebSocket,
        ws_max_size=_SOCKET_MESSAGE_BYTES_MAX,
        # Who has gone without a word is noticed within two of these.
        ws_ping_interval=_PING_SECONDS,
        ws_ping_timeout=_PING_SECONDS,
        # Compression costs 300 KiB per connection and little is gained on small frames.
        ws_per_message_deflate=False,
        # Longer than clients keep an idle connection (five seconds in httpx), so that none is closed under a request on its way.
        timeout_keep_alive=75,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    Server(config).run(sockets=[listener])


def _daphne_run(
    application: Any,
    listener: socket.socket,
    on_ready: Callable[[], None],
    on_signal: Callable[[], None],
) -> None:
    # Importing it installs its event loop as Twisted's, so it must come before anything else of Twisted.
    from daphne.server import Server, twisted_loop
    from twisted.internet import reactor
    from twisted.internet.base import ReactorBase

    host, port = listener.getsockname()[:2]
    escaped = host.replace(":", "\\:")
    server = Server(
        application=application,
        endpoints=[f"tcp:port={port}:interface={escaped}:backlog={_BACKLOG}"],
        signal_handlers=False,
        websocket_timeout=-1,
        websocket_max_message_size=_SOCKET_MESSAGE_BYTES_MAX,
        websocket_max_frame_size=_SOCKET_MESSAGE_BYTES_MAX,
        server_name="",
        ready_callable=on_ready,
    )

    def stop() -> None:
        on_signal()
        # Twisted gives the module its methods at run time, so only this cast tells of them.
        running = cast(ReactorBase, reactor)
        running.callFromThread(running.stop)

    with on_signals(stop):
        # Without a lifespan protocol, the loop is run by hand before and after the server.
        asyncio.set_event_loop(twisted_loop)
        twisted_loop.run_until_complete(application.startup())
        # Daphne opens the port itself: it takes no open socket.
        listener.close()
        server.run()
        twisted_loop.run_until_complete(application.shutdown())
