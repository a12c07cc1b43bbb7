"""Reads the environment once into one typed value; the settings and `serve` take everything from here.

Django is not imported here, and nothing is started.
"""

import base64
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import environ

from cryptocfd.embedded.errors import SetupError, sentence_for
from cryptocfd.embedded.layout import layout_for
from cryptocfd.env_checks import (
    api_key_keys_checked,
    database_url_checked,
    email_url_checked,
    log_level_checked,
    public_url_checked,
    redis_url_checked,
    snapshot_keys_checked,
    stream_prefix_checked,
)

BASE_DIR = Path(__file__).resolve().parent.parent
_SECRET_KEY_CHARACTERS_MIN = 32


@dataclass(frozen=True, slots=True)
class Environment:
    """What the outside decides about one process."""

    # Everything that must survive a restart; absolute.
    data_dir: Path
    # Empty in the environment means embedded: then these are the addresses inside DATA_DIR's layout.
    database_url: str
    log_redis_url: str
    redis_url: str
    # Which of the three servers `serve` has to start itself.
    postgres_is_embedded: bool
    log_is_embedded: bool
    rest_is_embedded: bool
    # Where the web server listens.
    host: str
    port: int
    # What people type; its scheme decides whether cookies demand HTTPS.
    public_url: str
    # Further host names under which the site may be asked for.
    allowed_hosts: list[str]
    # Whether background parts run inside the web process.
    engine_mode: Literal["embedded", "remote"]
    engine_shards: int
    # Put before every Valkey key and channel name; tests use a random one.
    stream_prefix: str
    # Feeds in order of preference.
    feeds: list[str]
    feed_batch_ms: int
    # Whether simulated instruments get an invented past, so that a new installation has full charts.
    simulated_history: bool
    snapshot_seconds: int
    # appendfsync of the log: `always` loses nothing, `everysec` may lose the last seconds.
    log_fsync: Literal["always", "everysec"]
    # After this time the outcome of an order counts as unknown (HTTP 408).
    order_timeout_ms: int
    # What one WebSocket may send, and how many of them one user may have in one process.
    socket_messages_per_second: int
    sockets_per_user: int
    # Whether a fresh database gets alice, bob and charlie; only embedded ones do by themselves.
    seed_demo: bool
    # Money of a new demo account, whole units of the account's currency as text.
    demo_balance: str
    # Signs sessions and tokens.
    secret_key: str
    # Former signing keys that are still accepted.
    secret_key_fallbacks: list[str]
    # Mixed into every PIN before it is hashed; losing it makes every PIN wrong.
    pin_pepper: str
    # Key ring of the secrets of API keys: Fernet keys, comma separated, the first one encrypts.
    api_key_keys: str
    # Key ring of the snapshots: `id:base64` pairs, comma separated, the first one encrypts.
    snapshot_keys: str
    asgi_server: Literal["uvicorn", "daphne"]
    debug: bool
    # Whether this process keeps PostgreSQL connections in a pool (it serves HTTP).
    database_pool: bool
    # `text` for people at a terminal, `json` for log collectors.
    log_format: Literal["text", "json"]
    log_level: str
    # Address of the mail server, in django-environ's notation; empty writes files to DATA_DIR/mail.
    email_url: str
    email_from: str
    # Whether the admin opens to staff with a second factor only.
    staff_second_factor: bool
    # After how long without a request or a socket a browser is signed out.
    session_idle_minutes: int
    # Whether browsers need a second factor for withdrawals and for new API keys.
    money_second_factor: bool
    # Dotted name of a django-sms backend; empty writes files to DATA_DIR/sms.
    sms_backend: str
    # How often sign-in links may be asked for: items of the form <count>/<s|m|h|d>.
    login_limits_per_address: list[str]
    login_limits_per_ip: list[str]
    # How many demos without an address one network address may start, of the same form.
    guest_limits_per_ip: list[str]
    # Ways to pay in and out of live accounts: bank, test.
    payment_providers: list[str]
    # What people are told to transfer to.
    payment_bank_account: str
    # How often a user may sign in devices, and one network address may refresh tokens, of the same form.
    session_token_limits: list[str]
    refresh_limits_per_ip: list[str]
    # How often REST may be asked: changes and reads of one user or key, and everybody of one address who is nobody yet.
    api_limits_write: list[str]
    api_limits_read: list[str]
    api_limits_public: list[str]
    # SHA-256 of the keys of programs that serve this installation, by name.
    service_keys: dict[str, str]


def _one_of(env: environ.Env, name: str, choices: tuple[str, ...]) -> str:
    value = str(env.str(name, default="") or choices[0]).strip().lower()
    if value not in choices:
        raise SetupError(f"{name} must be one of {', '.join(choices)}, but is {value!r}.")
    return value


def _integer(env: environ.Env, name: str, default: int, lowest: int, highest: int) -> int:
    text = str(env.str(name, default="") or default).strip()
    if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
        raise SetupError(
            f"{name} must be a whole number from {lowest} to {highest}, but is {text!r}."
        )
    return int(text)


def _boolean(env: environ.Env, name: str, *, default: bool) -> bool:
    text = str(env.str(name, default="")).strip().lower()
    if text not in {"", "1", "true", "yes", "on", "0", "false", "no", "off"}:
        raise SetupError(f"{name} must be true or false, but is {text!r}.")
    return default if not text else text in {"1", "true", "yes", "on"}


def data_dir_ensure(data_dir: Path) -> None:
    """Make the data directory, private to its owner.

    Errors: SetupError with the reason, if it cannot be made or written.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise sentence_for(error, data_dir) from error
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise SetupError(
            f"The data directory {data_dir} is not writable for this user: change its owner, or "
            "give another one, for example `make run DATA_DIR=~/cryptocfd`."
        )


def _secret_read_or_make(data_dir: Path, name: str, make: Callable[[], str]) -> str:
    """Return the secret of that name from the data directory; make it on the first run."""
    path = data_dir / "secrets" / name
    try:
        if not path.exists():
            data_dir_ensure(data_dir)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            # Written beside and linked into place: a second process that starts at the same moment
            # finds either no file or a whole one, and the first to link wins.
            draft = path.with_name(f".{name}.{os.getpid()}.{secrets.token_hex(4)}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(make())
                file.flush()
                # Nobody has a reason to write it again: a new one is a new file.
                os.fchmod(descriptor, 0o400)
                os.fsync(file.fileno())
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        value = path.read_text().strip()
    except OSError as error:
        raise sentence_for(error, path) from error
    if not value:
        raise SetupError(f"The secret {path} is empty: restore it from a backup.")
    return value


def _secret_key_check(key: str) -> str:
    if key.startswith("django-insecure") or len(key) < _SECRET_KEY_CHARACTERS_MIN:
        raise SetupError(
            f"SECRET_KEY must be secret and have at least {_SECRET_KEY_CHARACTERS_MIN} characters: leave it out, and one is "
            'made in DATA_DIR/secrets, or make one: python -c "import secrets; print(secrets.token_urlsafe(64))"'
        )
    return key


def _service_keys(texts: list[str]) -> dict[str, str]:
    keys = {}
    for text in texts:
        name, _, digest = text.strip().partition(":")
        if not (name and re.fullmatch("[0-9a-f]{64}", digest)):
            raise SetupError(
                "SERVICE_KEYS must be made of <name>:<SHA-256 of the key, in lower-case hex>; "
                f"the one that begins with {name[:20]!r} is not."
            )
        keys[name] = digest
    return keys


def environment_load() -> Environment:
    """Read the environment (and `.env` beside manage.py) into one value.

    Errors: SetupError naming the variable and what it must be.
    """
    environ.Env.read_env(str(BASE_DIR / ".env"))
    # FileAwareEnv also takes NAME_FILE=/run/secrets/name, the way of container secrets.
    try:
        return _load(environ.FileAwareEnv())
    except OSError as error:
        names = [
            name
            for name, value in os.environ.items()
            if name.endswith("_FILE") and value == error.filename
        ]
        raise SetupError(
            f"{' and '.join(names) or 'A variable'} names the file {error.filename}, which cannot be read ({error.strerror})."
        ) from error


def _load(env: environ.Env) -> Environment:
    data_dir = Path(env.str("DATA_DIR", default="") or BASE_DIR / "var").expanduser().resolve()
    layout = layout_for(data_dir)
    database_url = database_url_checked(env.str("DATABASE_URL", default=""))
    log_redis_url = redis_url_checked("LOG_REDIS_URL", env.str("LOG_REDIS_URL", default=""))
    redis_url = redis_url_checked("REDIS_URL", env.str("REDIS_URL", default=""))
    port = _integer(env, "PORT", 8000, 1, 65535)
    secret_key = env.str("SECRET_KEY", default="") or _secret_read_or_make(
        data_dir, "secret_key", lambda: secrets.token_urlsafe(64)
    )
    snapshot_keys = env.str("SNAPSHOT_KEYS", default="") or _secret_read_or_make(
        data_dir,
        "snapshot_keys",
        lambda: f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}",
    )
    log_format = cast(Literal["text", "json"], _one_of(env, "LOG_FORMAT", ("text", "json")))
    return Environment(
        data_dir=data_dir,
        database_url=database_url or layout.database_url,
        log_redis_url=log_redis_url or layout.log_redis_url,
        redis_url=redis_url or layout.redis_url,
        postgres_is_embedded=not database_url,
        log_is_embedded=not log_redis_url,
        rest_is_embedded=not redis_url,
        host=env.str("HOST", default="") or "127.0.0.1",
        port=port,
        public_url=public_url_checked(
            env.str("PUBLIC_URL", default="") or f"http://localhost:{port}"
        ),
        allowed_hosts=env.list("ALLOWED_HOSTS", default=[]),
        engine_mode=cast(
            "Literal['embedded', 'remote']", _one_of(env, "ENGINE_MODE", ("embedded", "remote"))
        ),
        engine_shards=_integer(env, "ENGINE_SHARDS", 1, 1, 64),
        stream_prefix=stream_prefix_checked(env.str("STREAM_PREFIX", default="")),
        feeds=env.list("FEEDS", default=[]) or ["binance", "simulator"],
        feed_batch_ms=_integer(env, "FEED_BATCH_MS", 100, 10, 1000),
        simulated_history=_boolean(env, "SIMULATED_HISTORY", default=True),
        snapshot_seconds=_integer(env, "SNAPSHOT_SECONDS", 60, 1, 3600),
        log_fsync=cast(
            "Literal['always', 'everysec']", _one_of(env, "LOG_FSYNC", ("always", "everysec"))
        ),
        order_timeout_ms=_integer(env, "ORDER_TIMEOUT_MS", 3000, 100, 60_000),
        socket_messages_per_second=_integer(env, "SOCKET_MESSAGES_PER_SECOND", 20, 1, 1_000_000),
        sockets_per_user=_integer(env, "SOCKETS_PER_USER", 5, 1, 1_000_000),
        seed_demo=_boolean(env, "SEED_DEMO", default=not database_url),
        demo_balance=str(_integer(env, "DEMO_BALANCE", 10_000, 1, 1_000_000_000)),
        secret_key=_secret_key_check(secret_key),
        secret_key_fallbacks=env.list("SECRET_KEY_FALLBACKS", default=[]),
        pin_pepper=env.str("PIN_PEPPER", default="")
        or _secret_read_or_make(data_dir, "pin_pepper", lambda: secrets.token_urlsafe(32)),
        api_key_keys=api_key_keys_checked(
            env.str("API_KEY_KEYS", default="")
            or _secret_read_or_make(
                data_dir,
                "api_key_keys",
                lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            )
        ),
        snapshot_keys=snapshot_keys_checked(snapshot_keys),
        asgi_server=cast(
            "Literal['uvicorn', 'daphne']", _one_of(env, "ASGI_SERVER", ("uvicorn", "daphne"))
        ),
        debug=_boolean(env, "DEBUG", default=False),
        database_pool=_boolean(env, "DATABASE_POOL", default=False),
        log_format=log_format,
        # At a terminal the steps and the banner say what is well; a collector wants it all.
        log_level=log_level_checked(
            (
                env.str("LOG_LEVEL", default="") or ("INFO" if log_format == "json" else "WARNING")
            ).upper()
        ),
        email_url=email_url_checked(env.str("EMAIL_URL", default="")),
        staff_second_factor=_boolean(env, "STAFF_SECOND_FACTOR", default=True),
        session_idle_minutes=_integer(env, "SESSION_IDLE_MINUTES", 30, 1, 720),
        money_second_factor=_boolean(env, "MONEY_SECOND_FACTOR", default=True),
        sms_backend=env.str("SMS_BACKEND", default=""),
        email_from=env.str("EMAIL_FROM", default="") or "CryptoCFD <no-reply@localhost>",
        login_limits_per_address=env.list(
            "LOGIN_LIMITS_PER_ADDRESS", default=["1/m", "5/h", "15/d"]
        ),
        login_limits_per_ip=env.list("LOGIN_LIMITS_PER_IP", default=["20/h"]),
        payment_providers=env.list("PAYMENT_PROVIDERS", default=["bank"]),
        payment_bank_account=env.str("PAYMENT_BANK_ACCOUNT", default="")
        or "the account that the support tells you",
        session_token_limits=env.list("SESSION_TOKEN_LIMITS", default=["20/h"]),
        refresh_limits_per_ip=env.list("REFRESH_LIMITS_PER_IP", default=["60/m"]),
        guest_limits_per_ip=env.list("GUEST_LIMITS_PER_IP", default=["10/h", "30/d"]),
        api_limits_write=env.list("API_LIMITS_WRITE", default=["50/s", "1200/m"]),
        api_limits_read=env.list("API_LIMITS_READ", default=["200/s"]),
        api_limits_public=env.list("API_LIMITS_PUBLIC", default=["100/s"]),
        service_keys=_service_keys(env.list("SERVICE_KEYS", default=[])),
    )
