"""Commands on a state directory whose file system does what the test says, and what becomes of them."""

import json
from pathlib import Path

from exporter.model.rows import SourceName
from partnercenter_simulator import Simulator
from tests.e2e.conftest import NO_AUTHORITIES, Process
from tests.support.config import token_file, write_secret
from tests.support.system_calls import SystemCalls

UNWRITABLE, WRITABLE = "partnercenter_state_writable 0.0", "partnercenter_state_writable 1.0"
UP = [f'partnercenter_up{{partner="contoso",source="{source}"}} 1.0' for source in SourceName]
MODULE = ("-m", "exporter")
RUN = ("run", "--web.listen-address=127.0.0.1:0")
COMMANDS = {
    "login": ("login", "--import-refresh-token=given"),
    "check": ("check",),
    "check --offline": ("check", "--offline"),
    "backfill": ("backfill", "--from=2026-01-01", "--to=2026-01-01", "--output=out"),
}


def run(file: Path, calls: SystemCalls) -> Process:
    return command(calls, file, *RUN)


def command(calls: SystemCalls, file: Path, *arguments: str) -> Process:
    flags = (f"--config.file={file}", *arguments[1:])
    return Process(arguments[0], *flags, env=NO_AUTHORITIES, program=calls.program(*MODULE))


def stored_token(file: Path) -> str:
    return str(json.loads(token_file(file).read_bytes())["refresh_token"])


def assert_polls_go_on(process: Process) -> None:
    """Both sources have been polled and are shown, nothing counts as stuck, and the metric tells of the disk."""
    process.wait_until_ready()
    page = process.wait_for_sample(UNWRITABLE)
    assert all(sample in page for sample in UP)
    assert "\npartnercenter_license_usage_ratio{" in page
    assert process.ask("/-/healthy").status_code == 200
    assert "is not writable" in process.ask("/").text


def write_token(simulator: Simulator, folder: Path) -> Path:
    write_secret(folder / "given", simulator.entra.issue_refresh_token())
    return folder / "given"
