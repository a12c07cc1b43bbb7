"""`python -m engine` inside the fence that its systemd unit draws: no socket but Unix ones, no program to start. For tests only.

Run as ``python -m tests.integration.fenced_engine <arguments of the engine>``. systemd makes the same of RestrictAddressFamilies and
NoExecPaths; here the process asks the kernel by itself (seccomp), which every user may.
"""

import ctypes
import os
import platform
import socket
import sys
from typing import Final

from engine.__main__ import main

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | 1  # EPERM
_LOAD: Final = 0x20
_JUMP_IF_EQUAL: Final = 0x15
_RETURN: Final = 0x06
# Number of the architecture, and its numbers of socket, execve and execveat.
_MACHINES: Final = {
    "x86_64": (0xC000003E, 41, 59, 322),
    "aarch64": (0xC00000B7, 198, 221, 281),
}


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("first", ctypes.POINTER(_Instruction)))


def fence() -> None:
    """Let this process and its children open Unix sockets only and start no program."""
    machine, socket_, execve, execveat = _MACHINES[platform.machine()]
    rows = [
        (_LOAD, 0, 0, 4),
        (_JUMP_IF_EQUAL, 0, 7, machine),
        (_LOAD, 0, 0, 0),
        (_JUMP_IF_EQUAL, 5, 0, execve),
        (_JUMP_IF_EQUAL, 4, 0, execveat),
        (_JUMP_IF_EQUAL, 0, 2, socket_),
        (_LOAD, 0, 0, 16),
        (_JUMP_IF_EQUAL, 0, 1, socket.AF_UNIX),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    instructions = (_Instruction * len(rows))(*(_Instruction(*row) for row in rows))
    program = _Program(len(rows), instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    calls = (
        (_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero),
        (_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(program)),
    )
    for option, first, second in calls:
        if libc.prctl(option, first, second, zero, zero):
            raise OSError(ctypes.get_errno(), f"prctl {option}")


def _refused() -> list[str]:
    """Return what the fence keeps from this process, of all that it should."""
    refused = []
    try:
        socket.socket(socket.AF_INET).close()
    except PermissionError:
        refused.append("network")
    try:
        os.execv("/bin/sh", ["sh", "-c", "exit 99"])  # noqa: S606 - it must not start.
    except PermissionError:
        refused.append("shell")
    return refused


if __name__ == "__main__":
    fence()
    sys.stdout.write(" ".join(_refused()) + "\n")
    sys.stdout.flush()
    sys.exit(main(sys.argv[1:]))
