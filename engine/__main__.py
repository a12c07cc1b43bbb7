"""One shard's engine without the web platform around it: ``python -m engine --help``.

It starts in a third of the time of a Django process. Keys are read from a file, never from the command line, which
every user of the machine can read.
"""

import argparse
import logging
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import override

from engine.adapters.compose import source_build
from engine.adapters.supervisor import Supervisor, run_engine
from engine.config import EngineConfig, snapshot_keys_from_text
from engine.runtime.errors import EXIT_CONFIGURATION


class _Lines(logging.Formatter):
    """One line for each record, with the ids of `extra` behind the fixed text."""

    _plain = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        """Append the fields that a plain record does not have."""
        fields = {name: vars(record)[name] for name in sorted(vars(record).keys() - self._plain)}
        return " ".join(
            [super().formatMessage(record), *(f"{name}={value}" for name, value in fields.items())]
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the engine that the arguments describe, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m engine", description=__doc__)
    # By the environment where an address has a password in it.
    for name, what in (("log-redis-url", "the log"), ("redis-url", "queries and health")):
        variable = name.replace("-", "_").upper()
        known = os.environ.get(variable)
        parser.add_argument(
            f"--{name}", default=known, required=not known, help=f"server of {what} ({variable})"
        )
    parser.add_argument("--snapshot-dir", required=True, type=Path)
    parser.add_argument("--snapshot-keys-file", required=True, type=Path, help="mode 0600")
    parser.add_argument("--prefix", default="", help="put before every key (STREAM_PREFIX)")
    parser.add_argument("--shard", type=int, default=0)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument(
        "--standby",
        action="store_true",
        help="follow the shard's active engine, and take over when it is gone",
    )
    parser.add_argument(
        "--once", action="store_true", help="do not start another engine after a crash"
    )
    options = parser.parse_args(arguments)
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        config = EngineConfig(
            prefix=options.prefix,
            shard=options.shard,
            shards=options.shards,
            log_redis_url=options.log_redis_url,
            redis_url=options.redis_url,
            snapshot_dir=options.snapshot_dir,
            snapshot_keys=snapshot_keys_from_text(_secret_read(options.snapshot_keys_file)),
            build=source_build(),
            is_dedicated=True,
            is_standby=options.standby,
        )
    except (OSError, ValueError) as error:
        sys.stderr.write(f"The engine cannot start: {error}.\n")
        return EXIT_CONFIGURATION
    return run_engine(config) if options.once else Supervisor(config).run()


def _secret_read(path: Path) -> str:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ValueError(f"{path} can be read by others; set its mode to 600")
    return path.read_text().strip()


if __name__ == "__main__":
    sys.exit(main())
