"""Listening on a machine that has no IPv6, and what to do where nothing can listen."""

import errno
import os
import subprocess
import sys

from exporter.web.toolkit.listening import remedy_for
from tests.support.process import PATIENCE_SECONDS, environment

# A seccomp filter lets socket(AF_INET6, …) fail, as a kernel without IPv6 does, and as systemd's
# RestrictAddressFamilies= denies it. prctl(2): PR_SET_NO_NEW_PRIVS is 38, PR_SET_SECCOMP 22, a filter 2.
LISTEN_WITHOUT_IPV6 = """
import ctypes, errno, platform, socket, struct, sys
from exporter.web.toolkit.listening import address_of, listen

number = {"x86_64": 41, "aarch64": 198}[platform.machine()]
load, if_equal, end, deny, allow = 0x20, 0x15, 0x06, 0x50000 | errno.EAFNOSUPPORT, 0x7FFF0000
steps = [(load, 0, 0, 0), (if_equal, 0, 3, number), (load, 0, 0, 16), (if_equal, 0, 1, socket.AF_INET6)]
steps += [(end, 0, 0, deny), (end, 0, 0, allow)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    sys.exit(f"no seccomp filter: error {ctypes.get_errno()}")
try:
    socket.socket(socket.AF_INET6)
except OSError as error:
    assert error.errno == errno.EAFNOSUPPORT
    print(*map(address_of, listen([":0"])))
"""


def test_without_ipv6_all_interfaces_are_those_of_ipv4() -> None:
    ended = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-c", LISTEN_WITHOUT_IPV6],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("0.0.0.0:")


def test_a_port_that_is_not_allowed_is_not_said_to_be_in_use() -> None:
    remedy = remedy_for(OSError(errno.EACCES, os.strerror(errno.EACCES)))
    assert remedy.startswith("ports below 1024 need CAP_NET_BIND_SERVICE")
    assert "stop the process" not in remedy
