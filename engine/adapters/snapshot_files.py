"""Snapshots as sealed files: AES-256-GCM under a key ring, the header in clear but authenticated.

A file is `magic | length of the preamble | preamble (JSON) | ciphertext with tag`; everything before the ciphertext is
its associated data, so a header cannot be edited or put on another body. A file exists under its final name only when
it is whole and on the disk: temporary file, fsync, read back, rename, fsync of the folder.
"""

import logging
import math
import os
import re
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.config import EngineConfig
from engine.messages.streams import input_stream
from engine.runtime.ports import (
    Probe,
    RefusedSnapshot,
    Snapshot,
    SnapshotHeader,
    SnapshotStatus,
    StateCopy,
    probe_nothing,
)
from engine.runtime.snapshots import SNAPSHOT_FORMAT, kept
from engine.values import entry_id_from_text

_logger = logging.getLogger(__name__)

_MAGIC: Final = b"CFDSNAP\n"
_LENGTH: Final = struct.Struct(">I")
_PREAMBLE_AT: Final = len(_MAGIC) + _LENGTH.size
_PREAMBLE_MAX: Final = 65_536
_NONCE_BYTES: Final = 12
_SUFFIX: Final = ".snapshot"
# A temporary file that was written to this much earlier than the newest snapshot has lost its writer.
_LEFT_BEHIND_S: Final = 600
_NAME: Final = re.compile(r"shard-(\d+)-of-(\d+)-(\d{19})\.snapshot", re.ASCII)


class _Preamble(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in clear."""

    key_id: str
    nonce: bytes
    header: msgspec.Raw


class _Format(msgspec.Struct, frozen=True):
    """The one field of a header that every version has."""

    format: int


class _Unusable(Exception):  # noqa: N818 - a value on its way to RefusedSnapshot.
    """Why a file cannot be used."""


class SnapshotFiles:
    """The snapshots of one shard in one folder; saves run in a thread of their own."""

    def __init__(self, config: EngineConfig, *, probe: Probe = probe_nothing) -> None:
        self._folder = config.snapshot_dir
        self._shard = config.shard
        self._shards = config.shards
        self._stream = input_stream(config.prefix, config.shard, config.shards)
        self._ring = {key.key_id: AESGCM(key.secret) for key in config.snapshot_keys}
        self._sealing_key = config.snapshot_keys[0].key_id
        self._probe = probe
        self._thread: threading.Thread | None = None
        self._status = SnapshotStatus(None, "")

    # --- writing ----------------------------------------------------------------------------------------------------

    def is_busy(self) -> bool:
        """Return whether the snapshot before is still being written."""
        return self._thread is not None and self._thread.is_alive()

    def save(self, copy: StateCopy) -> None:
        """Copy the state, and begin to write it in the background; how that went shows in status().

        Errors: InvariantError when the state contradicts itself.
        """
        header, body = copy()
        thread = threading.Thread(
            target=self.write, args=(header, body), name=f"engine-{self._shard}-snapshot"
        )
        try:
            thread.start()
        except RuntimeError as error:
            self._failed(header.entry_id, error)
        else:
            self._thread = thread

    def _failed(self, snapshot: str, error: Exception) -> None:
        # A full or broken machine must not stop the trading: the log has everything. Health shows it.
        self._status = self._status._replace(failure=str(error))
        _logger.error(
            "A snapshot could not be written; the one before stays.",
            extra={"snapshot": snapshot, "reason": str(error)},
        )

    def flush(self, timeout_us: int) -> None:
        """Wait until a save in work has ended."""
        if self._thread is not None:
            self._thread.join(timeout_us / 1_000_000)

    def status(self) -> SnapshotStatus:
        """Return what the last saves came to."""
        return self._status

    def write(self, header: SnapshotHeader, body: bytes) -> None:
        """Write a snapshot and remove the old ones that need not stay; how it went shows in status()."""
        entry_id = entry_id_from_text(header.entry_id)
        name = f"shard-{self._shard}-of-{self._shards}-{entry_id:019d}{_SUFFIX}"
        # Active engine and standby may share the folder; each writes a temporary file of its own.
        temporary = self._folder / f".{name}.{os.getpid()}.tmp"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._probe("snapshot_begin")
            self._write(temporary, self._sealed(header, body))
            self._read_back(temporary, header, body)
            self._probe("snapshot_written")
            temporary.rename(self._folder / name)
            self._probe("snapshot_renamed")
            _sync_folder(self._folder)
            self._status = SnapshotStatus(header, "")
            self._remove_old()
        except (OSError, _Unusable) as error:
            self._failed(name, error)
            with suppress(OSError):
                temporary.unlink()

    def _sealed(self, header: SnapshotHeader, body: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        preamble = msgspec.json.encode(
            _Preamble(
                key_id=self._sealing_key,
                nonce=nonce,
                header=msgspec.Raw(msgspec.json.encode(header)),
            )
        )
        clear = _MAGIC + _LENGTH.pack(len(preamble)) + preamble
        return clear + self._ring[self._sealing_key].encrypt(nonce, body, clear)

    def _write(self, path: Path, content: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            half = len(content) // 2
            file.write(content[:half])
            self._probe("snapshot_torn")
            file.write(content[half:])
            file.flush()
            os.fsync(file.fileno())

    def _read_back(self, path: Path, header: SnapshotHeader, body: bytes) -> None:
        if self._opened(path) != (header, body):
            raise _Unusable("what was written does not read back")

    def _remove_old(self) -> None:
        own = {int(match[3]): path for path, match in self._named() if self._is_own(match)}
        stay = kept(list(own))
        for entry_id, path in own.items():
            if entry_id not in stay:
                path.unlink(missing_ok=True)
        oldest_s = own[max(stay)].stat().st_mtime - _LEFT_BEHIND_S
        for stale in self._folder.glob(".shard-*.tmp"):
            # A process that was killed left it. A living one of this folder, active or standby, has just written to its own.
            match = _NAME.match(stale.name[1:])
            if match and self._is_own(match) and _modified_s(stale) < oldest_s:
                stale.unlink(missing_ok=True)

    # --- reading ----------------------------------------------------------------------------------------------------

    def _named(self) -> list[tuple[Path, re.Match[str]]]:
        if not self._folder.is_dir():
            return []
        found = [(path, _NAME.fullmatch(path.name)) for path in self._folder.iterdir()]
        return [(path, match) for path, match in found if match is not None]

    def _is_own(self, match: re.Match[str]) -> bool:
        return (int(match[1]), int(match[2])) == (self._shard, self._shards)

    def newest_first(self) -> Iterator[Snapshot | RefusedSnapshot]:
        """Yield the files of this shard and those of another layout, newest first; other shards' are none of ours."""
        candidates = [
            (int(match[3]), path)
            for path, match in self._named()
            if self._is_own(match) or int(match[2]) != self._shards
        ]
        for _, path in sorted(candidates, reverse=True):
            try:
                header, body = self._opened(path)
            except (OSError, _Unusable) as error:
                yield RefusedSnapshot(path.name, str(error))
            else:
                yield Snapshot(path.name, header, body)

    def _opened(self, path: Path) -> tuple[SnapshotHeader, bytes]:
        """Return header and body of a file that is whole, ours, and of a known format."""
        content = path.read_bytes()
        if not content.startswith(_MAGIC) or len(content) < _PREAMBLE_AT:
            raise _Unusable("it is no snapshot, or its beginning is torn")
        (length,) = _LENGTH.unpack_from(content, len(_MAGIC))
        body_at = _PREAMBLE_AT + length
        if length > _PREAMBLE_MAX or body_at > len(content):
            raise _Unusable("it is torn")
        try:
            preamble = msgspec.json.decode(content[_PREAMBLE_AT:body_at], type=_Preamble)
            version = msgspec.json.decode(preamble.header, type=_Format).format
            if version > SNAPSHOT_FORMAT:
                raise _Unusable(
                    f"it has format {version}, and this build reads up to {SNAPSHOT_FORMAT}"
                )
            header = msgspec.json.decode(preamble.header, type=SnapshotHeader)
        except msgspec.MsgspecError as error:
            raise _Unusable(f"its header cannot be read: {error}") from error
        key = self._ring.get(preamble.key_id)
        if key is None:
            raise _Unusable(f"no key of the ring has its id {preamble.key_id!r}")
        try:
            body = key.decrypt(preamble.nonce, content[body_at:], content[:body_at])
        except (InvalidTag, ValueError) as error:
            raise _Unusable(
                f"it is torn or edited, or key {preamble.key_id!r} is not the one that sealed it"
            ) from error
        if (header.stream, header.shard, header.shards) != (
            self._stream,
            self._shard,
            self._shards,
        ):
            raise _Unusable(
                f"it belongs to shard {header.shard} of {header.shards} on {header.stream!r}, "
                f"and this is shard {self._shard} of {self._shards} on {self._stream!r}"
            )
        return header, body


def _modified_s(path: Path) -> float:
    """Return when a file was written to last; infinity when its writer has just put it away."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return math.inf


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
