"""Windows lacks modules that the state directory needs; so does a Python from which they were taken."""

import subprocess
import sys

import pytest

WITHOUT_LOCKS = (
    "import sys; sys.modules['fcntl'] = sys.modules['pwd'] = None; from exporter.cli import main; sys.exit(main())"
)


@pytest.mark.parametrize("command", ["run", "check", "demo"])
def test_each_command_is_refused_in_one_line_with_the_remedy(command: str) -> None:
    ended = subprocess.run(  # noqa: S603  this Python
        [sys.executable, "-c", WITHOUT_LOCKS, command], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "partnercenter-exporter: this operating system is not supported\n"
        "  fix: run it on Linux; on Windows, in WSL or in a container\n"
    )


def test_help_and_version_are_shown_everywhere() -> None:
    for flag in ("--help", "--version"):
        ended = subprocess.run(  # noqa: S603  this Python
            [sys.executable, "-c", WITHOUT_LOCKS, flag], capture_output=True, text=True, check=False, timeout=60
        )
        assert (ended.returncode, ended.stderr) == (0, "")
