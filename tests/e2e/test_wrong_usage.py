"""Wrong flags and configurations: one clear message, the right exit status, never a traceback."""

import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import __version__
from partnercenter_simulator import Simulator
from tests.e2e.conftest import Ended, Run, run
from tests.support.config import write_config

FAILED, WRONG = 1, 2
PARTNER: dict[str, Any] = {
    "name": "contoso",
    "tenant_id": "8c2f6b0e-4d39-4f0a-9a55-0f6d2b7c1e34",
    "client_id": "5f0ff9c2-5a24-4d1c-8f7b-2d1c0a9be7f1",
    "client_secret": "secret",
}


def write(folder: Path, **top: object) -> Path:
    """Write a configuration that is right but for the keys given; return the file."""
    file = folder / "config.yaml"
    content = {"partners": [PARTNER], "state_dir": "state", **top}
    file.touch(mode=0o600)  # it has a secret in it
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def complaint(ended: Ended, status: int) -> str:
    """Return what a refusal says; fail unless it is short and has the right status."""
    assert ended.status == status, ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert ended.stderr.endswith("\n")
    return ended.stderr.rstrip("\n")


def test_a_wrong_configuration_is_one_line_with_its_place_and_fix(run_here: Run, tmp_path: Path) -> None:
    file = write(tmp_path, pol=1)
    number = file.read_text().splitlines().index("pol: 1") + 1
    [line] = complaint(run_here("check", "--offline", f"--config.file={file}"), WRONG).splitlines()
    assert line == f"{file}:{number}: pol: unknown key: did you mean poll?"


def test_all_mistakes_are_reported_at_once(run_here: Run, tmp_path: Path) -> None:
    file = write(
        tmp_path,
        partners=[PARTNER | {"client_secret": "${NOT_SET}", "cloud": "globl"}],
        poll={"interval": "5s"},
        http={"ca_file": "none.pem"},
        pol=1,
    )
    lines = complaint(run_here("run", f"--config.file={file}"), WRONG).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "partners[0].client_secret",
        "partners[0].cloud",
        "poll.interval",
        "http.ca_file",
        "pol",
    ]


def test_a_file_that_is_not_there_names_the_flag(tmp_path: Path) -> None:
    file = tmp_path / "none.yaml"
    assert complaint(run(f"--config.file={file}"), WRONG) == (
        f"{file}: can't read it: No such file or directory; set the file's path with --config.file"
    )


def test_a_message_never_contains_a_secret(run_here: Run, tmp_path: Path) -> None:
    secret = "hunter2hunter2"
    file = write(
        tmp_path,
        partners=[PARTNER | {"client_secret": secret, "client_secret_file": "none", "tenant_id": "common"}],
        http={"proxy_url": f"ftp://user:{secret}@proxy"},
    )
    assert secret not in complaint(run_here("check", "--offline", f"--config.file={file}"), WRONG)


def test_a_state_directory_that_can_not_be_written_is_status_1(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    file = write(tmp_path)
    lines = complaint(run(f"--config.file={file}", "--web.listen-address=127.0.0.1:0"), FAILED).splitlines()
    assert lines[0].startswith(f"partnercenter-exporter: can't write {tmp_path / 'state'}")
    assert lines[1] == "  fix: state_dir must be a directory that this user can write to, with free space"


def test_a_folder_that_cant_be_written_stops_simulate(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = run("simulate", "--web.listen-address=127.0.0.1:0", f"--output={tmp_path / 'file'}")
    assert complaint(ended, FAILED) == (
        f"partnercenter-exporter: can't write to {tmp_path / 'file'}: File exists\n"
        "  fix: choose another directory with --output"
    )


def test_a_folder_that_everyone_can_write_to_stops_simulate(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    ended = run("simulate", "--web.listen-address=127.0.0.1:0", f"--output={tmp_path}")
    assert ended.status == 1
    assert f"can't write to {tmp_path}: every user can write to it" in ended.stderr


@pytest.mark.parametrize("command", ["run", "check", "login", "backfill"])
def test_a_state_directory_that_everyone_can_write_to_stops_a_command(
    simulator: Simulator, tmp_path: Path, command: str
) -> None:
    file = write_config(tmp_path, simulator, sources={"usage": {"api": "commercial"}})
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    flags = {
        "run": ["--web.listen-address=127.0.0.1:0"],
        "backfill": ["--from=2026-01-01", "--to=2026-01-01", f"--output={tmp_path / 'past'}"],
    }
    ended = run(command, f"--config.file={file}", *flags.get(command, []))
    assert ended.status == 1
    assert f"{tmp_path / 'state'} is not used: it is world-writable\n  fix: " in ended.stderr
    assert simulator.requests.count() == 0


@pytest.mark.parametrize("command", ["run", "simulate", "demo"])
def test_a_port_in_use_stops_the_start(run_here: Run, tmp_path: Path, command: str) -> None:
    flags = [f"--config.file={write(tmp_path)}", "--web.listen-address=127.0.0.1:0"] if command == "run" else []
    # As another exporter would hold it if exporters shared ports.
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run_here(command, *flags, f"--web.listen-address={address}")
    lines = complaint(ended, FAILED).splitlines()
    assert lines[0] == f"partnercenter-exporter: can't listen on {address}: Address already in use"
    assert lines[1].startswith("  fix: stop the process that listens there, or choose another address")


@pytest.mark.parametrize(
    ("address", "words"),
    [("192.0.2.1:0", "Cannot assign requested address"), ("a..b:0", "label empty"), ("no-such-host.invalid:0", "")],
)
def test_an_address_of_another_machine_stops_the_start(run_here: Run, tmp_path: Path, address: str, words: str) -> None:
    message = complaint(run_here(f"--config.file={write(tmp_path)}", f"--web.listen-address={address}"), FAILED)
    assert message.startswith(f"partnercenter-exporter: can't listen on {address}: ")
    assert words in message
    assert "fix: this machine has no such address: choose one that `ip address` shows" in message


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        (["--nonsense"], WRONG, "unrecognized arguments: --nonsense"),
        (["demo", "--customers=0"], WRONG, "command line: --customers: give a number from 1 to 20,000"),
        (["--web.listen-address=localhost"], WRONG, "invalid address 'localhost'"),
        (["run", "--web.systemd-socket"], FAILED, "systemd passed no socket"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_flag_is_one_clear_message(
    run_here: Run, tmp_path: Path, flags: list[str], status: int, words: str
) -> None:
    ended = run_here(f"--config.file={write(tmp_path)}", *flags)
    message = complaint(ended, status)
    assert words in message.splitlines()[-1 if message.startswith("usage") else 0]


def test_version_and_help_need_no_configuration() -> None:
    for flag, words in (("--version", f"partnercenter-exporter, version {__version__} "), ("--help", "usage: ")):
        ended = run(flag)
        assert (ended.status, ended.stderr) == (0, "")
        assert ended.stdout.startswith(words)
