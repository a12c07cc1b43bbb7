"""Small files where a source keeps what a later start goes on from; each is replaced as a whole.

No fsync: after a power loss an older position is good enough, and a torn one is impossible by the rename.
"""

import json
import logging
from pathlib import Path

logger = logging.getLogger(__name__)


class PositionFile:
    """One source's position: a flat JSON object."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, object]:
        """Return the position, or an empty one when there is none or it cannot be read."""
        try:
            value = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            logger.warning("feed position unreadable, starting anew", extra={"error": str(error)})
            return {}
        return value if isinstance(value, dict) else {}

    def write(self, position: dict[str, object]) -> None:
        """Replace the position; a full disk costs the position, not the feed."""
        draft = self._path.with_suffix(".draft")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(position), encoding="utf-8")
            draft.replace(self._path)
        except OSError as error:
            logger.warning("feed position not written", extra={"error": str(error)})
