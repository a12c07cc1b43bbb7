"""Where the embedded servers of one data directory listen: pure paths and addresses, no processes.

Everything follows from DATA_DIR, so any command (`manage.py shell`, `login`) finds the servers that `serve` runs.
Starting and stopping is in servers.py.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

DATABASE_NAME = "cryptocfd"
DATABASE_USER = "cryptocfd"

# A Unix socket's path may have 108 bytes on Linux (104 on macOS), and DATA_DIR may be longer than that. So the sockets
# live under the shortest folder that every machine has, in a directory that only their owner can enter.
_SOCKET_ROOT = Path("/tmp")  # noqa: S108 - a private directory with a checked owner is made inside it.


@dataclass(frozen=True, slots=True)
class EmbeddedLayout:
    """The places of one data directory's servers."""

    # Absolute, without symbolic links: two spellings of one folder give one layout.
    data_dir: Path
    # The private directory of the sockets.
    run_dir: Path

    @property
    def postgres_socket_dir(self) -> Path:
        """Return the folder of PostgreSQL's socket; of its own, since as root another user runs PostgreSQL."""
        return self.run_dir / "pg"

    @property
    def log_socket(self) -> Path:
        """Return the socket of the Valkey that holds the log."""
        return self.run_dir / "log.sock"

    @property
    def rest_socket(self) -> Path:
        """Return the socket of the Valkey for queues, cache, prices and channels."""
        return self.run_dir / "rest.sock"

    @property
    def database_url(self) -> str:
        """Return the address of the database, as libpq and Django read it."""
        return f"postgres://{DATABASE_USER}@/{DATABASE_NAME}?host={self.postgres_socket_dir}"

    @property
    def log_redis_url(self) -> str:
        """Return the address of the log."""
        return f"unix://{self.log_socket}"

    @property
    def redis_url(self) -> str:
        """Return the address of everything that is not the log."""
        return f"unix://{self.rest_socket}"


def layout_for(data_dir: Path) -> EmbeddedLayout:
    """Return the layout of a data directory; the same for every process of one user."""
    data_dir = data_dir.expanduser().resolve()
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return EmbeddedLayout(
        data_dir=data_dir, run_dir=_SOCKET_ROOT / f"cryptocfd-{os.geteuid()}-{digest}"
    )
