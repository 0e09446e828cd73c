"""What systemd is told of this process: that it is ready, alive, or stopping.

freedesktop.org/software/systemd/man/sd_notify: one datagram a message, to the socket that NOTIFY_SOCKET names.
"""

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

_MICROSECONDS = 1_000_000


@dataclass(eq=False)
class ServiceManager:
    """The service manager of an environment; where there is none, nothing is sent.

    `beat_seconds` is how often it wants to hear that the service is alive: twice in the time after which it would
    restart it; None where it doesn't watch.
    """

    address: str = ""
    beat_seconds: float | None = None
    _is_ready: bool = False

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int) -> "ServiceManager":
        """Return what started this process, whose id is `pid`: variables for another one are ignored."""
        address = environment.get("NOTIFY_SOCKET", "")
        microseconds = environment.get("WATCHDOG_USEC", "")
        is_ours = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        watches = bool(address) and is_ours and microseconds.isdecimal() and int(microseconds) > 0
        return cls(address, int(microseconds) / _MICROSECONDS / 2 if watches else None)

    def beat(self, *, healthy: bool) -> None:
        """Say the first time that the service is ready, and each time that it is alive, unless it isn't healthy."""
        states = ["READY=1"] if not self._is_ready else []
        if healthy and self.beat_seconds is not None:
            states.append("WATCHDOG=1")
        self._is_ready = True
        self._send(states)

    def stopping(self) -> None:
        """Say that the service stops."""
        self._send(["STOPPING=1"])

    def _send(self, states: list[str]) -> None:
        if not self.address or not states:
            return
        # A name that begins with @ is in the abstract namespace (unix(7)).
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        # Whoever doesn't listen is not told: it must not keep the service from its work.
        with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.settimeout(0)
            sending.sendto("\n".join(states).encode(), address)
