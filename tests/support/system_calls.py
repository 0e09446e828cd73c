"""The program with some of its system calls watched: each goes on, fails with an error number, or hangs.

So any file system can be had whose server is gone, or which lacks locks or a sync of directories, without being root.
seccomp's user notification does it (man 2 seccomp_unotify). As a program of its own this file has the calls that it is
given watched, and becomes Python with the arguments after them.
"""

import ctypes
import errno
import fcntl
import os
import platform
import select
import socket
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_NUMBERS = {
    "x86_64": {"seccomp": 317, "flock": 73, "fsync": 74, "openat": 257, "newfstatat": 262, "fstat": 5, "renameat": 264},
    "aarch64": {"seccomp": 277, "flock": 32, "fsync": 82, "openat": 56, "newfstatat": 79, "fstat": 80, "renameat": 38},
}.get(platform.machine(), {})
# Of these the second argument is a path, and the first the directory that it may be relative to.
_WITH_PATH = ("openat", "newfstatat", "renameat")
_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ASK, _ALLOW = 0x7FC00000, 0x7FFF0000
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")  # id, pid, flags; number, architecture, instruction, arguments
_RESPONSE = struct.Struct("=QqiI")  # id, value, error, flags
_STATUS = struct.Struct("=QQQIIIIQqqqQQQQQQqqq")  # of x86-64
_CONTINUE = 1
_MAX_PATH = 4_096

HANG = -1
"""What a rule returns for a call that shall hang until `release`; 0 lets it go on, and an errno lets it fail."""


@dataclass(frozen=True)
class Faked:
    """What a rule returns for a call that shall get the status of its path, but with these rights and this owner."""

    rights: int
    owner: int


Rule = Callable[[str, str], int | Faked]
"""Decides by the name of a call and the path that it is about."""


def unavailable() -> str:
    """Return why system calls can't be watched here, or nothing."""
    if not _NUMBERS:
        return f"the numbers of {platform.machine()}'s system calls are not known here"
    tried = subprocess.run([sys.executable, __file__], check=False, capture_output=True, text=True)  # noqa: S603  this file
    return tried.stderr


class SystemCalls:
    """Watches calls of the processes that are started with `program`, by a rule that may be replaced at any time."""

    def __init__(self, folder: Path, *calls: str) -> None:
        self.rule: Rule = lambda _call, _path: 0
        self.hanging = 0
        self._calls = calls
        self._address = folder / "calls"
        self._server = socket.socket(socket.AF_UNIX)
        self._held: list[tuple[int, int]] = []
        self._lock = threading.Lock()

    def program(self, *arguments: str) -> Sequence[str]:
        """Return arguments for Python that start it with others, watched."""
        return (__file__, str(self._address), ",".join(self._calls), *arguments)

    def __enter__(self) -> Self:
        self._server.bind(str(self._address))
        self._server.listen()
        threading.Thread(target=self._accept, name="watch processes", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def release(self) -> None:
        """Let the calls that hang go on, and others not hang any more."""
        with self._lock:
            self.rule = lambda _call, _path: 0
            for listener, call in self._held:
                _answer(listener, call, 0)
            self._held.clear()
            self.hanging = 0

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                _, [listener], _, _ = socket.recv_fds(connection, 1, 1)
            threading.Thread(target=self._decide, args=(listener,), name="watch calls", daemon=True).start()

    def _decide(self, listener: int) -> None:
        names = {number: name for name, number in _NUMBERS.items()}
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        while poll.poll()[0][1] & select.POLLIN:
            notification = bytearray(_NOTIFICATION.size)
            try:
                fcntl.ioctl(listener, _RECEIVE, notification)
            except OSError:  # whoever called is gone
                continue
            call, pid, _, number, _, _, first, second, third, *_ = _NOTIFICATION.unpack(notification)
            path = _path(pid, names[number], first, second)
            with self._lock:
                decision = self.rule(names[number], path)
                if isinstance(decision, Faked):
                    address = second if names[number] == "fstat" else third
                    _answer(listener, call, _fake(decision, path, pid, address), go_on=False)
                    continue
                if decision == HANG:
                    self._held.append((listener, call))
                    self.hanging += 1
                    continue
            _answer(listener, call, decision)
        # The listener stays open: without it, calls that hang would fail.


def _fake(fake: Faked, path: str, pid: int, address: int) -> int:
    """Write a status into another process, and return an errno or 0."""
    try:
        found = Path(path).lstat()
    except OSError as error:
        return error.errno or errno.EIO
    times = [part for at in (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns) for part in divmod(at, 10**9)]
    status = _STATUS.pack(
        *(found.st_dev, found.st_ino, found.st_nlink, stat.S_IFMT(found.st_mode) | fake.rights, fake.owner, 0, 0),
        *(found.st_rdev, found.st_size, found.st_blksize, found.st_blocks, *times, 0, 0, 0),
    )
    with Path("/proc", str(pid), "mem").open("r+b", buffering=0) as memory:
        memory.seek(address)
        memory.write(status)
    return 0


def _answer(listener: int, call: int, error: int, *, go_on: bool = True) -> None:
    try:
        fcntl.ioctl(listener, _SEND, _RESPONSE.pack(call, 0, -error, 0 if error or not go_on else _CONTINUE))
    except OSError as failure:
        if failure.errno != errno.ENOENT:  # whoever called is gone
            raise


def _path(pid: int, call: str, first: int, second: int) -> str:
    """Return the path that a call is about; an empty one where the process is gone."""
    try:
        descriptor = ctypes.c_int(first & 0xFFFFFFFF).value
        process = Path("/proc", str(pid))
        folder = (process / "cwd" if descriptor < 0 else process / "fd" / str(descriptor)).readlink()
        if call not in _WITH_PATH:
            return str(folder)
        with (process / "mem").open("rb", buffering=0) as memory:
            memory.seek(second)
            return str(folder / os.fsdecode(memory.read(_MAX_PATH).partition(b"\0")[0]))
    except OSError:
        return ""


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("true", ctypes.c_ubyte), ("false", ctypes.c_ubyte), ("k", ctypes.c_uint))


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(_Instruction)))


def _watch(calls: Sequence[str]) -> int:
    """Have these calls of this process and its children watched, and return whom they are reported to."""
    jumps = [_Instruction(_JUMP_IF_EQUAL, len(calls) - index, 0, _NUMBERS[name]) for index, name in enumerate(calls)]
    program = [
        _Instruction(_LOAD, 0, 0, 0),
        *jumps,
        _Instruction(_RETURN, 0, 0, _ALLOW),
        _Instruction(_RETURN, 0, 0, _ASK),
    ]
    instructions = (_Instruction * len(program))(*program)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    filter_ = _Filter(len(program), instructions)
    listener: int = libc.syscall(_NUMBERS["seccomp"], _SET_MODE_FILTER, _NEW_LISTENER, ctypes.byref(filter_))
    if listener < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return listener


def main() -> None:
    """Have the calls watched and become Python; without arguments, only find out whether that is possible."""
    if len(sys.argv) == 1:
        try:
            _watch(["fsync"])
        except OSError as error:
            sys.exit(f"seccomp can't watch system calls here: {error}")
        return
    address, calls, *arguments = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [b"x"], [_watch(calls.split(","))])
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606  our own program


if __name__ == "__main__":
    main()
