"""The recorded past of one shard, page by page: what recovery evolves and what a verifier decides again."""

from collections.abc import Iterator
from typing import Final

from engine.runtime.ports import InputEntry, Log, Output
from engine.runtime.shard import skipped_id_of

# Entries per read: some hundred kilobytes at a time.
_PAGE: Final = 2_000


def inputs(log: Log, after: int, upto: int) -> Iterator[InputEntry]:
    """Yield the input entries with after < id <= upto, in order; LogUnavailableError."""
    while after < upto and (page := log.read_input(after, upto, _PAGE)):
        yield from page
        after = page[-1].entry_id


def outputs(log: Log, after: int, upto: int) -> Iterator[Output]:
    """Yield the outputs with after < id <= upto, in order; LogUnavailableError."""
    while after < upto and (page := log.read_outputs(after, upto, _PAGE)):
        yield from page
        after = page[-1].entry_id


def skips_ahead(log: Log, after: int) -> Iterator[int]:
    """Yield the entries that a SkipEntry further on in the log tells to pass over; LogUnavailableError."""
    while page := log.read_input(after, None, _PAGE):
        for entry in page:
            skipped = skipped_id_of(entry)
            if skipped is not None:
                yield skipped
        after = page[-1].entry_id
