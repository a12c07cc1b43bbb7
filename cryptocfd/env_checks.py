"""What a variable of the environment may be, beyond numbers and choices: each check returns the value or says what is expected.

Without Django, as env.py; what only Django or an app can judge is in settings_check.py. No sentence repeats what may hold a secret.
"""

import base64
import re
from urllib.parse import SplitResult, urlsplit

import environ

from cryptocfd.embedded.errors import SetupError
from engine.config import snapshot_keys_from_text

_DATABASE_SCHEMES = ("postgres", "postgresql", "psql", "pgsql")
_REDIS_SCHEMES = ("redis", "rediss", "unix")
_FERNET_KEY_BYTES = 32


def _split(name: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        # Read for its own check: it raises for what is no port.
        _ = parts.port
    except ValueError as error:
        # Its own words may hold a part of a password that was not escaped.
        raise SetupError(
            f"{name} is no address: host or port cannot be read. Write / @ : # [ ] in a password as %2F %40 %3A %23 %5B %5D."
        ) from error
    return parts


def log_level_checked(level: str) -> str:
    """Return a level that logging knows; errors: SetupError."""
    names = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")
    if level not in names:
        raise SetupError(f"LOG_LEVEL must be one of {', '.join(names)}, but is {level!r}.")
    return level


def database_url_checked(url: str) -> str:
    """Return the address of a PostgreSQL, or an empty text; errors: SetupError."""
    parts = _split("DATABASE_URL", url)
    names_database = parts.path.strip("/") or "service=" in parts.query
    if url and not (parts.scheme in _DATABASE_SCHEMES and names_database):
        raise SetupError(
            "DATABASE_URL must look like postgres://user:password@host:5432/database, but its "
            + (
                f"scheme is {parts.scheme!r}."
                if parts.scheme not in _DATABASE_SCHEMES
                else "last part, the database, is missing."
            )
        )
    return url


def redis_url_checked(name: str, url: str) -> str:
    """Return the address of a Valkey, or an empty text; errors: SetupError."""
    scheme = _split(name, url).scheme
    if url and scheme not in _REDIS_SCHEMES:
        raise SetupError(
            f"{name} must look like redis://user:password@host:6379, rediss://... or unix:///path/to/socket, "
            f"but its scheme is {scheme!r}."
        )
    return url


def public_url_checked(url: str) -> str:
    """Return the address that people type, without a slash at its end; errors: SetupError."""
    parts = _split("PUBLIC_URL", url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
        raise SetupError(
            f"PUBLIC_URL must be http:// or https:// and a host, without a path, but is {url!r}."
        )
    return url.rstrip("/")


def email_url_checked(url: str) -> str:
    """Return the address of a mail server or service, or an empty text; errors: SetupError."""
    scheme = _split("EMAIL_URL", url).scheme
    if url and scheme != "anymail" and scheme not in environ.Env.EMAIL_SCHEMES:
        raise SetupError(
            "EMAIL_URL must look like smtp+tls://user:password@host:587 or anymail://postmark?SERVER_TOKEN=..., "
            f"but its scheme is {scheme!r}."
        )
    return url


def stream_prefix_checked(prefix: str) -> str:
    """Return what stands before every key; errors: SetupError."""
    # Braces would change which keys belong together, and the ACL's patterns know neither blanks nor wildcards.
    if not re.fullmatch(r"[A-Za-z0-9:._-]*", prefix, re.ASCII):
        raise SetupError(
            f"STREAM_PREFIX must be made of letters, digits and : . _ -, but is {prefix!r}."
        )
    return prefix


def snapshot_keys_checked(text: str) -> str:
    """Return the key ring of the snapshots as it was written; errors: SetupError."""
    try:
        snapshot_keys_from_text(text)
    except ValueError as error:
        raise SetupError(f"SNAPSHOT_KEYS cannot be read: {error}.") from error
    return text


def api_key_keys_checked(text: str) -> str:
    """Return the ring of Fernet keys as it was written; errors: SetupError."""
    for number, key in enumerate(text.split(","), 1):
        try:
            secret = base64.b64decode(key.strip(), altchars=b"-_", validate=True)
        except ValueError:
            secret = b""
        if len(secret) != _FERNET_KEY_BYTES:
            raise SetupError(
                f"API_KEY_KEYS must be Fernet keys (URL-safe base64 of 32 bytes), comma separated; number {number} is none."
            )
    return text
