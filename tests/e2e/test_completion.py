"""`completion`: what bash and zsh complete, asked of the shells themselves."""

import os
import pty
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import program, run
from tests.support.process import PATIENCE_SECONDS, until

_GOT = re.compile(rb"\n<(.*)>\r")
COMMANDS = {"run", "check", "login", "demo", "simulate", "healthcheck", "backfill", "completion"} | {
    "auth",
    "poll",
    "report",
    "reports",
    "example-config",
    "assets",
}
RUN_FLAGS = {"--config.file", "--web.listen-address", "--no-web.enable-lifecycle", "--config.check", "--log.level"}


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script of each shell, by its name."""
    folder = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh"):
        ended = run("completion", shell)
        assert (ended.status, ended.stderr) == (0, "")
        (folder / shell).write_text(ended.stdout)
    assert run("completion").stdout == (folder / "bash").read_text()
    return folder


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder to complete names in."""
    for name in ("config.yaml", "config other.yaml", "web.yml"):
        (tmp_path / name).touch()
    (tmp_path / "past").mkdir()
    return tmp_path


def offered(scripts: Path, here: Path, *words: str) -> set[str]:
    """Return what bash offers for the last of these words, which it has split at each equals sign."""
    command = (
        f"source {shlex.quote(str(scripts / 'bash'))}; COMP_WORDS=({shlex.join(['partnercenter-exporter', *words])}); "
        f"COMP_CWORD={len(words)}; _partnercenter_exporter; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    bash = [program("bash", "bash"), "--norc", "--noprofile", "-eu", "-c", command]
    ended = subprocess.run(bash, capture_output=True, text=True, cwd=here, check=False, timeout=PATIENCE_SECONDS)  # noqa: S603  bash
    assert (ended.returncode, ended.stderr) == (0, "")
    return set(ended.stdout.splitlines()) - {""}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ch"], {"check"}),
        (["--config.ch"], {"--config.check"}),
        (["--no-w"], {"--no-web.enable-lifecycle", "--no-web.systemd-socket"}),
        (["check", "--o"], {"--offline"}),
        (["check", "--no"], {"--no-all-apis", "--no-offline", "--no-json"}),
        (["check", "--web"], {"--web.config.file"}),
        (["login", "--web"], set()),
        (["healthcheck", "--web"], {"--web.listen-address", "--web.config.file"}),
        (["healthcheck", "--config"], set()),
        (["--log.level", "debug", "check", "--o"], {"--offline"}),
        (["login", "--red"], {"--redirect-port"}),
        (["run", "--log.level", ""], {"debug", "info", "warn", "error"}),
        (["run", "--log.level", "="], {"debug", "info", "warn", "error"}),
        (["run", "--log.level", "=", "d"], {"debug"}),
        (["--log.format", "j"], {"json"}),
        (["backfill", "--source", "=", ""], {"usage", "deployment"}),
        (["run", "--config.file", "conf"], {"config.yaml", "config other.yaml"}),
        (["run", "--config.file", "=", "conf"], {"config.yaml", "config other.yaml"}),
        (["run", "--config.file", "="], {"config.yaml", "config other.yaml", "web.yml", "past"}),
        (["--web.config.file", "w"], {"web.yml"}),
        (["login", "--import-refresh-token", "w"], {"web.yml"}),
        (["backfill", "--output", ""], {"past"}),
        (["simulate", "--output", "=", "p"], {"past"}),
        (["check", "--partner", ""], set()),
        (["run", "--web.enable-lifecycle", "--log.l"], {"--log.level"}),
        (["completion", "z"], {"zsh"}),
        (["au"], {"auth"}),
        (["auth", ""], {"status", "--help", "--version"}),
        (["auth", "s"], {"status"}),
        (["auth", "status", "--j"], {"--json"}),
        (["auth", "status", "--no"], {"--no-json"}),
        (["status", "--j"], set()),
        (["poll", "--source", "u"], {"usage"}),
        (["assets", "--ou"], {"--output"}),
        (["report", "--format", "="], {"html", "csv", "markdown"}),
        (["report", "--http.config.file", "w"], {"web.yml"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bash_offers(scripts: Path, here: Path, words: list[str], expected: set[str]) -> None:
    assert offered(scripts, here, *words) == expected


def test_bash_offers_every_command_and_the_flags_of_run(scripts: Path, here: Path) -> None:
    found = offered(scripts, here, "")
    assert found >= COMMANDS | RUN_FLAGS
    assert {word for word in found if not word.startswith("-")} == COMMANDS


class Shell:
    """An interactive shell that has read its script, at a terminal."""

    def __init__(self, name: str, *flags: str, script: Path, here: Path) -> None:
        self.master, slave = pty.openpty()
        environment = {"PATH": os.environ["PATH"], "TERM": "dumb", "PS1": "$ ", "HOME": str(here), "ZDOTDIR": str(here)}
        self._process = subprocess.Popen(  # noqa: S603  a shell
            [program(name, name), *flags], stdin=slave, stdout=slave, stderr=slave, cwd=here, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self._output = b""
        threading.Thread(target=self._read, daemon=True).start()
        self.type(f"partnercenter-exporter() {{ echo \"<$*>\"; }}; source {shlex.quote(str(script))}; echo re''ady\n")
        until(lambda: b"\nready" in self._output)

    def type(self, text: str) -> None:
        """Type it."""
        os.write(self.master, text.encode())

    def run(self, typed: str) -> str:
        """Type a line, with Tab at its end, and run it; return the arguments that the command got."""
        self._output = b""
        self.type(f"partnercenter-exporter {typed}\t\n")
        return until(lambda: found[1].decode() if (found := _GOT.search(self._output)) else "")

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(PATIENCE_SECONDS)
        os.close(self.master)

    def _read(self) -> None:
        with suppress(OSError):
            while piece := os.read(self.master, 65_536):
                self._output += piece


@pytest.fixture
def shell(request: pytest.FixtureRequest, scripts: Path, here: Path) -> Iterator[Shell]:
    """The shell of this name; skipped where it isn't installed."""
    name, flags = {"bash": ("bash", ("--norc", "--noprofile", "-i")), "zsh": ("zsh", ("-f", "-i"))}[request.param]
    opened = Shell(name, *flags, script=scripts / name, here=here)
    yield opened
    opened.close()


@pytest.mark.parametrize("shell", ["bash", "zsh"], indirect=True)
def test_an_interactive_shell_completes_a_line(shell: Shell) -> None:
    for typed, completed in (
        ("che", "check"),
        ("check --off", "check --offline"),
        ("run --config.enable-au", "run --config.enable-auto-reload"),
        ("run --log.level=de", "run --log.level=debug"),
        ("run --log.level de", "run --log.level debug"),
        ("--web.config.file=w", "--web.config.file=web.yml"),
        ("--web.config.file w", "--web.config.file web.yml"),
        ("backfill --source=u", "backfill --source=usage"),
        ("auth s", "auth status"),
        ("auth status --js", "auth status --json"),
    ):
        assert shell.run(typed) == completed


@pytest.mark.parametrize("shell", ["bash"], indirect=True)
def test_bash_completes_a_name_with_a_blank(shell: Shell) -> None:
    assert shell.run("check --config.file config\\ o") == "check --config.file config other.yaml"
    assert shell.run("check --config.file=config\\ o") == "check --config.file=config other.yaml"
