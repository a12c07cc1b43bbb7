"""Runs the platform: everything in one process, or one part of it (`--only`).

The order of a start: the port, the servers, the database, then the parts; a stop goes the other way round. Whatever
hinders the start is one sentence that says what to do.
"""

import faulthandler
import logging
import os
import shlex
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import OperationalError, connection, connections
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from typing_extensions import override

from apps.auth.facade import login_link_create
from apps.market.facade import feed_status
from cryptocfd.bootstrap import database_seed
from cryptocfd.console import Progress, banner, say
from cryptocfd.embedded.configured import servers_configured
from cryptocfd.embedded.errors import SetupError
from cryptocfd.embedded.processes import wait_until
from cryptocfd.embedded.servers import EmbeddedServers
from cryptocfd.engine_host import PART_NAMES, EngineHost, EngineOptions
from cryptocfd.engine_processes import engines_run
from cryptocfd.history.bootstrap import BOOTSTRAP_HELP, database_check
from cryptocfd.parts import process_give_way
from cryptocfd.settings_check import settings_check
from cryptocfd.web_server import port_bind, web_run
from engine.adapters.signals import on_signals

logger = logging.getLogger(__name__)

# Migrations of two processes that start at once must not meet; the number is this project's own.
_MIGRATION_LOCK = 7_203_114
_DATABASE_SECONDS = 60.0
_BOOTSTRAP_SECONDS = 15.0
_FEED_SECONDS = 3.0
# Of the five seconds that a stop may take, the servers need the rest.
_STOP_SECONDS = 4.0
# What `make login` must be told as `make run` was.
_LOGIN_NAMES = ("DATA_DIR", "PORT")
# Nobody waits for these while orders are answered, so on a busy machine they give way.
_PATIENT_PARTS = frozenset({"projector", "worker"})


class Command(BaseCommand):
    help = "Runs the platform until Ctrl-C."
    # The checks are part of `make check`; here they would only delay the start.
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--only", choices=PART_NAMES, help="run this part alone")
        parser.add_argument(
            "--shard", type=int, help="with --only engine or projector: this shard alone"
        )
        parser.add_argument(
            "--standby",
            action="store_true",
            help="with --only engine: follow the active engine and take over when it is gone; without one, lead at once",
        )
        parser.add_argument(
            "--snapshot-dir",
            type=Path,
            help="with --only engine: folder of the snapshots; a standby needs its own",
        )
        parser.add_argument("--bootstrap", action="store_true", help=BOOTSTRAP_HELP)

    @override
    def handle(self, *_args: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _interrupt)
        self._options = _engine_options(options)
        settings_check(with_feed=options["only"] in {None, "feed"})
        try:
            if options["only"] is None:
                self._serve_all()
            elif options["only"] == "web":
                self._serve_web(Progress())
            elif options["only"] == "engine":
                self._serve_engines()
            else:
                self._serve_part(options["only"])
        except KeyboardInterrupt:
            say("Stopped before the start was complete.")

    def _serve_all(self) -> None:
        progress = Progress()
        # Before the servers start, since it is the likeliest reason to fail and the cheapest to see.
        listener = port_bind(settings.HOST, settings.PORT)
        servers = servers_configured()
        with listener:
            servers.start(progress.step)
            servers.keep()
            deadline = StopDeadline(servers)
            try:
                self._database_prepare(progress)
                self._web(listener, progress, deadline)
            finally:
                deadline.met()
                _connections_end()
                servers.stop()
                say("Stopped.")

    def _serve_web(self, progress: Progress) -> None:
        with port_bind(settings.HOST, settings.PORT) as listener:
            self._database_await()
            database_check()
            os.environ["ENGINE_MODE"] = settings.ENGINE_MODE = "remote"
            deadline = StopDeadline(None)
            self._web(listener, progress, deadline)
            deadline.met()

    def _serve_engines(self) -> None:
        # Engines need no database.
        shard = self._options.shard
        code = engines_run(
            range(settings.ENGINE_SHARDS) if shard is None else (shard,),
            is_standby=self._options.is_standby,
            snapshot_dir=self._options.snapshot_dir,
            bootstrap=self._options.bootstrap,
            say=Progress().step,
        )
        if code:
            sys.exit(code)

    def _serve_part(self, name: str) -> None:
        progress = Progress()
        self._database_await()
        if name != "feed":
            # The feed's user of the log may not look, and writes nothing that another database would miss.
            database_check()
        if name == "worker":
            database_seed()
        if name in _PATIENT_PARTS:
            process_give_way()
        stopping = threading.Event()
        failed: list[str] = []

        def failure(part: str) -> None:
            failed.append(part)
            stopping.set()

        host = EngineHost(
            frozenset({name}),
            options=self._options,
            progress=progress.step,
            on_failure=failure,
        )
        with on_signals(stopping.set):
            host.start()
            progress.step(f"{name} is running; Ctrl-C stops it")
            stopping.wait()
            host.stop()
        if failed:
            # The supervisor of the process restarts it, or an operator reads the log.
            raise SetupError(f"The part {failed[0]} has failed: its log says why.")

    # --- database -------------------------------------------------------------------------------------------------

    def _database_prepare(self, progress: Progress) -> None:
        # Before the first table: a backup is restored into an empty database.
        database_check()
        executor = MigrationExecutor(connection)
        missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
        if missing:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s)", [_MIGRATION_LOCK])
            call_command("migrate", verbosity=0, interactive=False)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATION_LOCK])
            progress.step(f"database migrated ({missing} steps)")
        added = database_seed()
        if added:
            progress.step(f"database seeded ({added} instruments)")

    def _database_await(self) -> None:
        """Wait until somebody has migrated the database, as `manage.py migrate` or a whole `serve` does."""

        def is_ready() -> bool:
            try:
                executor = MigrationExecutor(connection)
                return not executor.migration_plan(executor.loader.graph.leaf_nodes())
            except OperationalError:
                return False
            finally:
                connection.close()

        if not wait_until(is_ready, seconds=_DATABASE_SECONDS):
            raise SetupError(
                "The database is not reachable or not migrated: check DATABASE_URL and run "
                "`python manage.py migrate`."
            )

    # --- web ------------------------------------------------------------------------------------------------------

    def _web(self, listener: Any, progress: Progress, deadline: "StopDeadline") -> None:
        # Imported only now: the application builds its handlers from the settings.
        from cryptocfd.asgi import application

        application.host.progress = progress.step
        application.host.options = self._options

        def on_ready() -> None:
            # In a thread, since the banner waits for the first instruments while the loop already serves.
            threading.Thread(
                target=self._banner, args=(application.host, progress), daemon=True
            ).start()

        web_run(
            application,
            listener,
            server=settings.ASGI_SERVER,
            on_ready=on_ready,
            on_signal=deadline.begin,
        )
        progress.step("web and background parts stopped")

    def _banner(self, host: EngineHost, progress: Progress) -> None:
        progress.step(f"web listens on {settings.HOST}:{settings.PORT}")
        if host.bootstrap_wait(_BOOTSTRAP_SECONDS):
            progress.step("instruments and accounts are known to the engine")
        facts = {"Open": settings.PUBLIC_URL}
        if settings.SEED_DEMO:
            try:
                facts["Sign in as alice"] = login_link_create("alice@example.com").url
            finally:
                connections.close_all()
        wait_until(lambda: _feed_name() != "", seconds=_FEED_SECONDS)
        facts |= {
            "Prices": _feed_name() or "waiting for a source",
            "Data": str(settings.DATA_DIR),
            "Stop": f"Ctrl-C (another link: {_login_command()})",
        }
        banner(facts)


def _login_command() -> str:
    """Return what prints another link for this very installation."""
    # Without them it would look in the default folder, and its link would lead to the default port.
    given = (
        f"{name}={shlex.quote(os.environ[name])}" for name in _LOGIN_NAMES if os.environ.get(name)
    )
    return " ".join(("make login", *given))


def _engine_options(options: dict[str, Any]) -> EngineOptions:
    """Return what was asked for; errors: SetupError for what does not go together."""
    only, shard = options["only"], options["shard"]
    if shard is not None and not (
        only in {"engine", "projector"} and 0 <= shard < settings.ENGINE_SHARDS
    ):
        raise SetupError(
            f"--shard goes with --only engine or projector, and is at most {settings.ENGINE_SHARDS - 1}."
        )
    if (options["standby"] or options["snapshot_dir"]) and only != "engine":
        raise SetupError("--standby and --snapshot-dir go with --only engine.")
    return EngineOptions(
        shard=shard,
        is_standby=options["standby"],
        snapshot_dir=options["snapshot_dir"],
        bootstrap=options["bootstrap"],
    )


class StopDeadline:
    """Keeps the promise that a stop takes five seconds, also if a part should hang.

    The log makes it safe to end without waiting: what was acknowledged is on the disk.
    """

    def __init__(self, servers: EmbeddedServers | None) -> None:
        self._servers = servers
        self._timer: threading.Timer | None = None

    def begin(self) -> None:
        """Start to count at the first signal; more of them change nothing."""
        if self._timer is None:
            self._timer = threading.Timer(_STOP_SECONDS, self._end_now)
            self._timer.daemon = True
            self._timer.start()

    def met(self) -> None:
        """Stop counting: the parts have ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _end_now(self) -> None:
        logger.critical("a part does not stop: the process ends without it")
        # Where every thread stands, for whoever looks for the reason.
        faulthandler.dump_traceback(all_threads=True)
        if self._servers is not None:
            self._servers.stop()
        os._exit(1)


def _feed_name() -> str:
    status = feed_status()
    if status is None:
        return ""
    return ", ".join(
        f"{source.name} ({source.source_class.name.lower()}, {source.symbols} instruments)"
        for source in status.sources
        if source.symbols
    )


def _connections_end() -> None:
    """Close the pool before its server stops, else its threads try to connect again."""
    wrapper = connections["default"]
    wrapper.close()
    if isinstance(wrapper, DatabaseWrapper):
        wrapper.close_pool()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
