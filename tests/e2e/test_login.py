"""`login`: the sign-in in a browser, and the import of an existing token."""

import json
import signal
import socket
import ssl
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml

from partnercenter_simulator import Fault, Simulator
from tests.e2e.conftest import NO_AUTHORITIES, Ended, Run, start
from tests.integration.exposition import Exposition
from tests.support.config import token_file, write_config, write_secret
from tests.support.process import PATIENCE_SECONDS, ExporterProcess, run_command, until

UP = 'partnercenter_up{partner="contoso",source="usage"} 1.0'
DOWN = 'partnercenter_up{partner="contoso",source="usage"} 0.0'


@pytest.fixture
def import_token(run_here: Run, tmp_path: Path) -> Run:
    """Return a function that takes over a token from a file, in this process; it fails where a traceback is shown."""

    def call(file: Path, token: str, *flags: str) -> Ended:
        write_secret(tmp_path / "given", token)
        ended = run_here("login", f"--config.file={file}", f"--import-refresh-token={tmp_path / 'given'}", *flags)
        assert "Traceback" not in ended.stderr
        return ended

    return call


def saved_token(file: Path) -> str:
    return str(json.loads(token_file(file).read_bytes())["refresh_token"])


@pytest.fixture
def file(simulator: Simulator, tmp_path: Path) -> Path:
    """A configuration without a seed."""
    return write_config(tmp_path, simulator, refresh_token=None)


@pytest.fixture
def browser(simulator: Simulator) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cadata=simulator.ca_pem.decode())
    with httpx.Client(verify=context, timeout=PATIENCE_SECONDS, trust_env=False) as client:
        yield client


@pytest.fixture
def login(file: Path) -> Iterator[ExporterProcess]:
    """The command, waiting for the user; its standard input is open."""
    flags = (f"--config.file={file}", "--partner=contoso", "--redirect-port=0")
    with ExporterProcess("login", *flags, env=NO_AUTHORITIES) as process:
        process.wait_for_output("paste it here:")
        yield process


def end_of(browser: httpx.Client, login: ExporterProcess) -> str:
    """Sign in as the user does; return the address to which the browser is sent."""
    [address] = [line.strip() for line in login.stdout.splitlines() if "/authorize?" in line]
    return browser.get(address).headers["location"]


def says_what_it_did(output: str, simulator: Simulator, file: Path) -> None:
    assert f"Signed in as {simulator.user}, tenant {simulator.tenant_id}." in output
    assert f"saved in {token_file(file)}" in output
    ends = [(datetime.now(UTC) + timedelta(days=90, minutes=-minutes)).date() for minutes in (0, 5)]
    assert any(f"It expires on {day}" in output for day in ends)
    assert f"Next: partnercenter-exporter check --partner contoso --config.file={file}\n" in output


def test_a_pasted_address_signs_in(
    simulator: Simulator, file: Path, browser: httpx.Client, login: ExporterProcess
) -> None:
    login.type(end_of(browser, login))
    assert login.wait() == 0
    says_what_it_did(login.stdout, simulator, file)
    assert login.stderr == ""
    assert saved_token(file) == simulator.entra.issued_refresh_tokens[-1]
    assert stat.S_IMODE(token_file(file).stat().st_mode) == 0o600


def test_a_browser_on_this_machine_signs_in_while_nothing_is_typed(
    simulator: Simulator, file: Path, browser: httpx.Client, login: ExporterProcess
) -> None:
    assert browser.get(end_of(browser, login)).status_code == 200
    assert login.wait() == 0
    says_what_it_did(login.stdout, simulator, file)
    assert login.stderr == ""


def test_ctrl_c_ends_it_at_once_whoever_is_connected(login: ExporterProcess) -> None:
    [address] = [line.strip() for line in login.stdout.splitlines() if "/authorize?" in line]
    port = httpx.URL(httpx.URL(address).params["redirect_uri"]).port
    assert port
    with ExitStack() as opened:
        for _ in range(40):
            silent = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            silent.sendall(b"GET /?code=")
        assert login.stop(signal.SIGINT) == 1
    assert login.stderr == ""


def test_a_port_in_use_is_named_with_the_flag_for_another(run_here: Run, file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_here("login", f"--config.file={file}", f"--redirect-port={port}")
    assert ended.status == 1
    assert f"can't listen on localhost:{port}" in ended.stderr
    assert "--redirect-port" in ended.stderr


def test_a_token_in_a_file_is_imported(import_token: Run, simulator: Simulator, file: Path) -> None:
    ended = import_token(file, simulator.entra.issue_refresh_token())
    assert (ended.status, ended.stderr) == (0, "")
    says_what_it_did(ended.stdout, simulator, file)
    assert saved_token(file) == simulator.entra.issued_refresh_tokens[-1]
    assert stat.S_IMODE(token_file(file).stat().st_mode) == 0o600


def test_a_token_on_standard_input_is_imported(simulator: Simulator, file: Path) -> None:
    token = simulator.entra.issue_refresh_token() + "\r\n\n"
    flags = (f"--config.file={file}", "--import-refresh-token=-")
    ended = run_command("login", *flags, typed=token, env=NO_AUTHORITIES)
    assert (ended.returncode, ended.stderr) == (0, "")
    says_what_it_did(ended.stdout, simulator, file)
    assert saved_token(file) == simulator.entra.issued_refresh_tokens[-1]


def test_an_imported_token_stays_where_no_new_one_comes(import_token: Run, simulator: Simulator, file: Path) -> None:
    simulator.faults.add(Fault(kind="token_without_refresh_token", endpoint="token"))
    given = simulator.entra.issue_refresh_token()
    ended = import_token(file, given)
    assert (ended.status, ended.stderr) == (0, "")
    assert saved_token(file) == given


def test_a_token_of_another_application_is_refused_as_such(import_token: Run, simulator: Simulator, file: Path) -> None:
    ended = import_token(file, simulator.entra.issue_refresh_token(client_id="another"))
    assert ended.status == 1
    assert "AADSTS700007: the refresh token belongs to another application (client_id)" in ended.stderr
    assert "partnercenter-exporter login --partner contoso" in ended.stderr
    assert not token_file(file).exists()


def test_a_wrong_client_secret_is_named_and_the_old_token_stays(
    import_token: Run, simulator: Simulator, file: Path
) -> None:
    assert import_token(file, simulator.entra.issue_refresh_token()).status == 0
    before = token_file(file).read_bytes()
    write_secret(file.parent / "client-secret", "wrong")
    ended = import_token(file, simulator.entra.issue_refresh_token())
    assert ended.status == 1
    assert "AADSTS7000215" in ended.stderr
    assert token_file(file).read_bytes() == before


LOGIN = "partnercenter-exporter login --partner contoso"
WITH_MFA = f"require MFA for the account, then {LOGIN}"
# A new sign-in is redeemed twice: the token, and its successor.
REFUSALS = {
    "no MFA": (Fault(kind="mfa_required", endpoint="usage"), WITH_MFA),
    "no MFA, 2019": (Fault(kind="mfa_required_2019", endpoint="usage"), WITH_MFA),
    "no MFA, 2020": (Fault(kind="mfa_required_2020", endpoint="usage"), WITH_MFA),
    "wrong audience": (Fault(kind="status", endpoint="usage", status=401, code=900420), "check scope and cloud"),
    "unauthorised": (Fault(kind="status", endpoint="usage", status=401), "check that the account belongs to this"),
    "not renewed": (Fault(kind="entra_error", endpoint="token", code=50173, skip=1), f"sign in again: {LOGIN}"),
    "MFA at Entra ID": (Fault(kind="entra_error", endpoint="token", code=50076, skip=1), f"with MFA: {LOGIN}"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("stored", [True, False], ids=["one stored", "none stored"])
def test_a_sign_in_that_is_refused_is_not_saved_and_a_stored_one_stays(
    import_token: Run, simulator: Simulator, file: Path, *, refusal: str, stored: bool
) -> None:
    if stored:
        assert import_token(file, simulator.entra.issue_refresh_token()).status == 0
    before = token_file(file).read_bytes() if stored else b""
    fault, fix = REFUSALS[refusal]
    simulator.faults.add(fault)
    ended = import_token(file, simulator.entra.issue_refresh_token())
    assert (ended.status, ended.stdout) == (1, "")
    kept = "the stored one stays" if stored else "nothing is stored"
    assert f"the new sign-in is refused and was not saved, {kept}: " in ended.stderr
    assert fix in ended.stderr
    assert (token_file(file).read_bytes() if stored else b"") == before
    assert token_file(file).exists() == stored


def test_a_token_of_a_sign_in_without_a_second_factor_takes_no_good_ones_place(
    import_token: Run, simulator: Simulator, file: Path
) -> None:
    assert import_token(file, simulator.entra.issue_refresh_token()).status == 0
    before = token_file(file).read_bytes()
    ended = import_token(file, simulator.entra.issue_refresh_token(mfa=False))
    assert ended.status == 1
    assert "900421" in ended.stderr
    assert WITH_MFA in ended.stderr
    assert token_file(file).read_bytes() == before


def test_a_sign_in_in_a_browser_that_the_api_refuses_takes_no_good_ones_place(
    import_token: Run, simulator: Simulator, file: Path, browser: httpx.Client
) -> None:
    assert import_token(file, simulator.entra.issue_refresh_token()).status == 0
    before = token_file(file).read_bytes()
    simulator.faults.add(Fault(kind="mfa_required", endpoint="usage"))
    with ExporterProcess("login", f"--config.file={file}", "--redirect-port=0", env=NO_AUTHORITIES) as process:
        process.wait_for_output("paste it here:")
        process.type(end_of(browser, process))
        assert process.wait() == 1
    assert "the stored one stays" in process.stderr
    assert token_file(file).read_bytes() == before


# Longer than anybody waits, so that nothing is repeated.
LATER_SECONDS = 3_600
NOT_YET = "it could not be found out yet whether Partner Center accepts this sign-in"
UNPROVEN = {
    "no role": (Fault(kind="status", endpoint="usage", status=403, code=900308), "does not give its account the data"),
    "throttled": (Fault(kind="throttled", endpoint="usage", retry_after=LATER_SECONDS), NOT_YET),
    "down": (Fault(kind="status", endpoint="usage", retry_after=LATER_SECONDS), NOT_YET),
    "retired": (Fault(kind="status", endpoint="usage", status=404), NOT_YET),
    "moved": (Fault(kind="redirect", endpoint="usage", location="https://elsewhere/"), NOT_YET),
    "Entra ID is gone": (Fault(kind="status", endpoint="token", skip=1, retry_after=LATER_SECONDS), NOT_YET),
}


@pytest.mark.parametrize("reason", UNPROVEN)
def test_a_sign_in_that_could_not_be_tried_is_saved_and_that_is_said(
    import_token: Run, simulator: Simulator, file: Path, reason: str
) -> None:
    fault, words = UNPROVEN[reason]
    simulator.faults.add(fault)
    ended = import_token(file, simulator.entra.issue_refresh_token())
    assert (ended.status, ended.stderr) == (0, "")
    [warning] = [line for line in ended.stdout.splitlines() if line.startswith("Warning: ")]
    assert words in warning
    assert "\n  Fix: " in ended.stdout
    assert saved_token(file) == simulator.entra.issued_refresh_tokens[-1]


def test_a_sign_in_without_a_second_factor_that_could_not_be_tried_is_saved_with_both_warnings(
    import_token: Run, simulator: Simulator, file: Path
) -> None:
    simulator.faults.add(Fault(kind="throttled", endpoint="usage", retry_after=LATER_SECONDS))
    ended = import_token(file, simulator.entra.issue_refresh_token(mfa=False))
    assert ended.status == 0
    assert NOT_YET in ended.stdout
    assert "Warning: this sign-in did not use MFA" in ended.stdout


def test_the_newest_token_is_saved_where_the_api_asked_for_another_access_token(
    import_token: Run, simulator: Simulator, file: Path
) -> None:
    simulator.faults.add(Fault(kind="status", endpoint="usage", status=401, times=1))
    ended = import_token(file, simulator.entra.issue_refresh_token())
    assert (ended.status, ended.stderr) == (0, "")
    assert "Warning" not in ended.stdout
    assert simulator.requests.count("token") == 3
    assert saved_token(file) == simulator.entra.issued_refresh_tokens[-1]


@pytest.mark.parametrize(("api", "query"), [("legacy", {}), ("commercial", {"groupby": "workloadName", "top": "1"})])
def test_one_cheap_request_is_the_proof(
    import_token: Run, simulator: Simulator, tmp_path: Path, *, api: str, query: dict[str, str]
) -> None:
    file = write_config(tmp_path, simulator, refresh_token=None, sources={"usage": {"api": api}})
    ended = import_token(file, simulator.entra.issue_refresh_token())
    assert (ended.status, ended.stderr) == (0, "")
    assert "Warning" not in ended.stdout
    asked = [request for request in simulator.requests.of() if "authorization" in request.headers]
    assert [(request.status, dict(request.query)) for request in asked] == [(200, query)]


def test_a_damaged_store_is_refused_before_anyone_is_asked_and_stays_as_it_is(
    import_token: Run, simulator: Simulator, file: Path
) -> None:
    assert import_token(file, simulator.entra.issue_refresh_token()).status == 0
    asked = simulator.requests.count()
    token_file(file).write_bytes(b'{"refresh_token": "cut o')
    ended = import_token(file, simulator.entra.issue_refresh_token())
    assert ended.status == 1
    assert f"the stored token {token_file(file)} is not used: it is corrupt" in ended.stderr
    assert "move the file away" in ended.stderr
    assert token_file(file).read_bytes() == b'{"refresh_token": "cut o'
    assert simulator.requests.count() == asked


def test_of_several_partners_one_must_be_named(import_token: Run, simulator: Simulator, file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    content["partners"].append(content["partners"][0] | {"name": "fabrikam"})
    file.write_text(yaml.safe_dump(content))
    token = simulator.entra.issue_refresh_token()
    for flags in ((), ("--partner=northwind",)):
        ended = import_token(file, token, *flags)
        assert ended.status == 2
        assert "contoso, fabrikam" in ended.stderr
    assert import_token(file, token, "--partner=fabrikam").status == 0
    assert token_file(file, "fabrikam").exists()
    assert not token_file(file, "contoso").exists()


def test_a_seed_that_was_taken_before_does_not_come_back_after_a_login(
    import_token: Run, run_here: Run, simulator: Simulator, tmp_path: Path
) -> None:
    """Entra ID leaves old tokens valid: a login that replaced an account must not be undone by its seed."""
    file = write_config(tmp_path, simulator)
    check = ("check", f"--config.file={file}")
    assert run_here(*check).status == 0
    assert import_token(file, simulator.entra.issue_refresh_token()).status == 0
    simulator.entra.revoke(saved_token(file))
    ended = run_here(*check)
    assert ended.status == 1
    assert "AADSTS50173" in ended.stdout


def polled_before_it_was_due(failed: str, succeeded: str) -> bool:
    """Return whether the poll on the second page began before the time at which the first page announced it."""
    labels = {"partner": "contoso", "source": "usage"}
    due = Exposition(failed).value("partnercenter_next_poll_timestamp_seconds", **labels)
    began = Exposition(succeeded).value("partnercenter_last_poll_timestamp_seconds", **labels)
    assert due is not None
    assert began is not None
    return began < due


def test_a_running_exporter_with_a_dead_token_notices_a_login_and_polls_at_once(
    import_token: Run, simulator: Simulator, tmp_path: Path
) -> None:
    file = write_config(tmp_path, simulator)
    simulator.entra.revoke_all()
    with start(file) as process:
        failed = page = process.wait_for_sample(DOWN)
        assert '\npartnercenter_auth_up{partner="contoso"} 0.0' in page
        assert "partnercenter_auth_refresh_token_issued_timestamp_seconds{" not in page
        assert import_token(file, simulator.entra.issue_refresh_token()).status == 0
        page = process.wait_for_sample(UP)
        assert polled_before_it_was_due(failed, page)
        assert '\npartnercenter_auth_up{partner="contoso"} 1.0' in page
        assert '\npartnercenter_auth_refresh_token_expiry_timestamp_seconds{partner="contoso"}' in page
        assert process.stop() == 0
    assert saved_token(file) == simulator.entra.issued_refresh_tokens[-1]


def test_a_running_exporter_whose_api_missed_a_second_factor_uses_a_new_login_at_once(
    import_token: Run, simulator: Simulator, tmp_path: Path
) -> None:
    file = write_config(tmp_path, simulator, refresh_token=simulator.entra.issue_refresh_token(mfa=False))
    with start(file) as process:
        failed = page = process.wait_for_sample(DOWN)
        assert '\npartnercenter_auth_up{partner="contoso"} 0.0' in page
        assert 'poll_failures_total{partner="contoso",reason="mfa",source="usage"} 1.0' in page
        assert import_token(file, simulator.entra.issue_refresh_token()).status == 0
        assert polled_before_it_was_due(failed, process.wait_for_sample(UP))
        until(lambda: '\npartnercenter_auth_up{partner="contoso"} 1.0' in process.get().text)
