"""`healthcheck --pid`: asks where another process serves, by that process's own command line."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.arguments import Healthcheck
from exporter.cli import parse

PROGRAM = "partnercenter-exporter"
DEFAULT = Healthcheck()
SERVING = {
    "the default": ([PROGRAM], DEFAULT),
    "run": ([PROGRAM, "run", "--web.listen-address=:9000"], Healthcheck(listen_addresses=(":9000",))),
    "no command": (
        [PROGRAM, "--web.listen-address", "[::1]:9000", "--web.config.file=web.yml", "--log.level=debug"],
        Healthcheck(listen_addresses=("[::1]:9000",), web_config_file=Path("web.yml")),
    ),
    "several addresses": (
        [PROGRAM, "--web.listen-address=:9000", "--web.listen-address=:9001"],
        Healthcheck(listen_addresses=(":9000", ":9001")),
    ),
    "demo": ([PROGRAM, "demo", "--web.listen-address=:9000"], Healthcheck(listen_addresses=(":9000",))),
    "behind an init": (
        ["init", "--", f"/opt/bin/{PROGRAM}", "--web.listen-address=:9000"],
        Healthcheck(listen_addresses=(":9000",)),
    ),
    "another program": (["sh", "-c", "sleep 9; --web.listen-address=:9000"], DEFAULT),
    "another command": ([PROGRAM, "check", "--offline"], DEFAULT),
    "bytes of no encoding": ([b"\xff\xfe", b""], DEFAULT),
}


@pytest.fixture
def pid(request: pytest.FixtureRequest) -> Iterator[int]:
    """A process with this command line, which does nothing until its standard input ends."""
    waiting = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen([*waiting, *request.param], stdin=subprocess.PIPE) as process:  # noqa: S603  our own
        yield process.pid


@pytest.mark.parametrize(("pid", "expected"), SERVING.values(), ids=SERVING, indirect=["pid"])
def test_the_flags_of_a_process_are_taken(pid: int, expected: Healthcheck) -> None:
    _, arguments = parse(["healthcheck", f"--pid={pid}"])
    assert isinstance(arguments, Healthcheck)
    assert (arguments.listen_addresses, arguments.web_config_file) == (
        expected.listen_addresses,
        expected.web_config_file,
    )


def test_a_process_that_is_gone_changes_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    _, arguments = parse(["healthcheck", f"--pid={ended.pid}", "--web.listen-address=:1"])
    assert isinstance(arguments, Healthcheck)
    assert arguments.listen_addresses == (":1",)
