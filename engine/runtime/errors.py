"""Why an engine stops or waits. Each halt names its reason, and its message says what an operator can do."""

from enum import StrEnum
from typing import Final

# Exit codes of a process whose engine halted, by sysexits.h: try again later (another engine is in charge, or the log is
# away); an operator has to set
# something right; our own code or the log contradicts itself.
EXIT_TRY_LATER: Final = 75
EXIT_CONFIGURATION: Final = 78
EXIT_CONTRADICTION: Final = 70


class HaltCode(StrEnum):
    """The reasons for which an engine stops by itself; stable names for alarms and runbooks."""

    # Another engine holds the lease, or raised the epoch.
    LEASE_HELD = "LEASE_HELD"
    FENCED = "FENCED"
    # An entry that our own code cannot apply.
    POISON = "POISON"
    # Entries of the input or output stream are missing.
    INPUT_GAP = "INPUT_GAP"
    OUTPUT_GAP = "OUTPUT_GAP"
    # The output stream is ahead of the checkpoint, or the recorded chain does not end in its hash.
    OUTPUT_AHEAD = "OUTPUT_AHEAD"
    CHAIN_BROKEN = "CHAIN_BROKEN"
    # The log has lost what this very process had committed.
    LOG_REWOUND = "LOG_REWOUND"
    # A snapshot knows more than the log.
    SNAPSHOT_AHEAD = "SNAPSHOT_AHEAD"
    LOG_EMPTY = "LOG_EMPTY"
    # Snapshots exist, none can be used, and the log alone does not reach back to the beginning.
    SNAPSHOTS_UNUSABLE = "SNAPSHOTS_UNUSABLE"
    # A standby decides otherwise than the active engine of the same build did.
    DIVERGED = "DIVERGED"
    # The recorded history cannot be applied.
    HISTORY_REFUSED = "HISTORY_REFUSED"
    # The log did not come back in time.
    LOG_LOST = "LOG_LOST"


class HaltError(Exception):
    """The engine must not go on."""

    def __init__(self, code: HaltCode, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code

    @property
    def exit_code(self) -> int:
        """Return what the process should end with."""
        match self.code:
            case HaltCode.FENCED | HaltCode.LEASE_HELD | HaltCode.LOG_LOST:
                return EXIT_TRY_LATER
            case HaltCode.LOG_EMPTY | HaltCode.SNAPSHOT_AHEAD | HaltCode.SNAPSHOTS_UNUSABLE:
                return EXIT_CONFIGURATION
            case _:
                return EXIT_CONTRADICTION


class LogUnavailableError(Exception):
    """The log cannot be reached, or its answer was lost; whether the last call was carried out is unknown."""


class RecoveryNeededError(Exception):
    """The state in memory and the checkpoint disagree; the state is worthless and is built anew."""
