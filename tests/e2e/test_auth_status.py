"""`auth status`: what is stored of the sign-ins, beside a running exporter and without one."""

import json
import os
import pwd
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from partnercenter_simulator import Simulator
from tests.e2e.conftest import Run, start
from tests.support.config import token_file, write_config, write_secret
from tests.support.planted import STRANGER, needs_root

Change = Callable[[dict[str, Any]], dict[str, Any]]

EXPIRY = datetime.now(UTC).date() + timedelta(days=300)


@pytest.fixture
def file(simulator: Simulator, tmp_path: Path, run_here: Run) -> Path:
    """A configuration, and the token of a login."""
    file = write_config(tmp_path, simulator, refresh_token=None, partner={"client_secret_expires": f"{EXPIRY}"})
    write_secret(tmp_path / "given", simulator.entra.issue_refresh_token())
    assert run_here("login", f"--config.file={file}", f"--import-refresh-token={tmp_path / 'given'}").status == 0
    return file


def listed(run_here: Run, file: Path, *flags: str) -> tuple[int, dict[str, Any]]:
    ended = run_here("auth", "status", f"--config.file={file}", "--json", *flags)
    [found] = json.loads(ended.stdout)
    return ended.status, found


def damaged(file: Path, change: Change) -> Path:
    stored = token_file(file)
    stored.write_text(json.dumps(change(json.loads(stored.read_bytes()))))
    return stored


def test_a_stored_sign_in_is_described_and_nothing_is_sent_or_written(
    simulator: Simulator, run_here: Run, file: Path
) -> None:
    before, asked = {path: path.stat().st_mtime_ns for path in file.parent.rglob("*")}, simulator.requests.count()
    ended = run_here("auth", "status", f"--config.file={file}")
    assert (ended.status, ended.stderr) == (0, "")
    for words in (
        f"account:     {simulator.user}",
        f"tenant:      {simulator.tenant_id} (cloud global), application {simulator.client_id}",
        "sign-in:     accepted",
        "MFA:         yes",
        f"credential:  client secret; expires {EXPIRY} 00:00:00 UTC (in ",
        f"stored in:   {token_file(file)}",
    ):
        assert words in ended.stdout
    assert "PROBLEM" not in ended.stdout
    status, found = listed(run_here, file, "--partner=CONTOSO")
    assert (status, found["mfa"], found["accepted"], found["problem"]) == (0, True, True, "")
    assert found["token_expires_at"] - found["token_issued_at"] == 90 * 86_400
    assert json.loads(token_file(file).read_bytes())["refresh_token"] not in ended.stdout
    assert {path: path.stat().st_mtime_ns for path in file.parent.rglob("*")} == before
    assert simulator.requests.count() == asked


def test_it_works_beside_a_running_exporter_and_tells_what_that_found_out(
    simulator: Simulator, run_here: Run, file: Path
) -> None:
    simulator.entra.revoke_all()
    with start(file) as process:
        process.wait_until_ready()
        status, found = listed(run_here, file)
        assert status == 1
        assert "AADSTS50173" in found["problem"]
        assert "partnercenter-exporter login --partner contoso" in found["remedy"]
        assert (found["accepted"], found["token_expires_at"]) == (False, None)
        assert process.stop() == 0
    assert listed(run_here, file) == (status, found)


@pytest.mark.parametrize(
    ("change", "problem", "remedy"),
    [
        (lambda _: {}, "it is corrupt", "move the file away and sign in again: "),
        (lambda it: it | {"version": 2}, "another version of this program wrote it", "run that version"),
        (lambda it: it | {"identity": it["identity"] | {"tenant_id": "x"}}, "belongs to another", "correct tenant_id"),
        (lambda it: it | {"issued_at": it["issued_at"] - 91 * 86_400}, "the refresh token has expired", "sign in: "),
    ],
    ids=["corrupt", "newer", "foreign", "expired"],
)  # fmt: skip
def test_a_token_that_can_not_be_used_is_named_with_what_to_do(
    run_here: Run, file: Path, change: Change, problem: str, remedy: str
) -> None:
    damaged(file, change)
    status, found = listed(run_here, file)
    assert status == 1
    assert problem in found["problem"]
    assert found["remedy"].startswith(remedy)
    assert "partnercenter-exporter login --partner contoso" in found["remedy"]


def test_a_token_that_others_can_read_is_named(run_here: Run, file: Path) -> None:
    token_file(file).chmod(0o644)
    status, found = listed(run_here, file)
    assert status == 1
    assert "it is world-readable" in found["problem"]
    assert "0600" in found["remedy"]


def test_without_a_token_a_seed_is_good_enough_and_nothing_is_not(
    simulator: Simulator, tmp_path: Path, run_here: Run
) -> None:
    file = write_config(tmp_path, simulator)
    status, found = listed(run_here, file)
    assert (status, found["accepted"], found["account"], found["problem"]) == (0, None, None, "")
    assert not (tmp_path / "state").exists()
    file = write_config(tmp_path, simulator, refresh_token=None)
    status, found = listed(run_here, file)
    assert (status, found["problem"]) == (1, "there is no refresh token yet")
    assert found["remedy"] == "sign in once: partnercenter-exporter login --partner contoso"


def test_a_token_without_mfa_says_so(run_here: Run, file: Path) -> None:
    damaged(file, lambda it: it | {"mfa": False})
    assert listed(run_here, file)[1]["mfa"] is False
    damaged(file, lambda it: {name: value for name, value in it.items() if name != "mfa"})
    assert listed(run_here, file)[1]["mfa"] is None


def test_an_expired_credential_is_a_problem(simulator: Simulator, tmp_path: Path, run_here: Run) -> None:
    file = write_config(tmp_path, simulator, partner={"client_secret_expires": "2020-05-01"})
    status, found = listed(run_here, file)
    assert (status, found["problem"]) == (1, "the client credential has expired")


def test_an_unknown_partner_is_wrong_usage(run_here: Run, file: Path) -> None:
    ended = run_here("auth", "status", f"--config.file={file}", "--partner=nobody")
    assert ended.status == 2
    assert "choose from contoso" in ended.stderr


def test_auth_alone_prints_its_help_as_wrong_usage(run_here: Run) -> None:
    ended = run_here("auth")
    assert (ended.status, ended.stdout) == (2, "")
    assert "usage: partnercenter-exporter auth " in ended.stderr
    assert "status" in ended.stderr


@needs_root
@pytest.mark.parametrize("owner", ["daemon", ""])
@pytest.mark.parametrize("command", [("auth", "status"), ("poll",)], ids=" ".join)
def test_who_looks_at_the_state_of_another_user_is_told_to_do_so_as_that_user(
    run_here: Run, file: Path, command: tuple[str, ...], owner: str
) -> None:
    number = pwd.getpwnam(owner).pw_uid if owner else STRANGER
    os.chown(file.parent / "state", number, -1)
    ended = run_here(*command, f"--config.file={file}")
    assert (ended.status, ended.stdout) == (1, "")
    name, account = (owner, owner) if owner else (f"user id {number}", f"'#{number}'")
    assert f"{file.parent}/state is not used: it belongs to {name}; run this as {name}\n" in ended.stderr
    assert "chown" not in ended.stderr
    assert re.search(
        rf"fix: run this as {name}: sudo -u {account} \S+ {' '.join(command)} --config.file={file}\n", ended.stderr
    )
