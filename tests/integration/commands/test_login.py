"""`login --import-refresh-token`: an existing token is tried, saved and described."""

import json
from pathlib import Path

import pytest

from exporter.arguments import ExitStatus, Login
from exporter.commands import login
from exporter.errors import AuthenticationError, MfaRequired
from partnercenter_simulator import Fault, Simulator
from tests.support.config import token_file, write_config, write_secret


@pytest.fixture
def arguments(simulator: Simulator, tmp_path: Path) -> Login:
    """A configuration without a seed, and a valid token to import."""
    write_secret(tmp_path / "given", simulator.entra.issue_refresh_token())
    file = write_config(tmp_path, simulator, refresh_token=None)
    return Login(config_file=file, import_refresh_token=str(tmp_path / "given"))


def test_an_accepted_token_is_renewed_and_saved_and_its_account_is_printed(
    arguments: Login, simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert login.run(arguments) is ExitStatus.SUCCESS
    stored = token_file(arguments.config_file)
    assert json.loads(stored.read_bytes())["refresh_token"] == simulator.entra.issued_refresh_tokens[-1]
    printed = capsys.readouterr().out
    assert f"Signed in as {simulator.user}, tenant {simulator.tenant_id}." in printed
    assert f"saved in {stored}" in printed


def test_a_refused_token_is_an_error_and_is_not_saved(arguments: Login, simulator: Simulator) -> None:
    simulator.entra.revoke_all()
    with pytest.raises(AuthenticationError, match="AADSTS50173"):
        login.run(arguments)
    assert not token_file(arguments.config_file).exists()


@pytest.mark.parametrize(
    ("said", "shown"), [("true", True), ("True", True), ("", False)], ids=["true", "another case", "nothing"]
)
def test_a_sign_in_that_partner_center_takes_for_one_with_mfa_is_called_so(
    arguments: Login,
    simulator: Simulator,
    capsys: pytest.CaptureFixture[str],
    said: str,
    shown: bool,  # noqa: FBT001  a table's
) -> None:
    simulator.faults.add(Fault(kind="mfa_header", text=said))
    assert login.run(arguments) is ExitStatus.SUCCESS
    assert ("Partner Center takes it for a sign-in with MFA.\n" in capsys.readouterr().out) is shown


@pytest.mark.parametrize("stored", [False, True])
def test_a_sign_in_that_partner_center_takes_for_one_without_mfa_replaces_nothing(
    arguments: Login, simulator: Simulator, *, stored: bool
) -> None:
    file = token_file(arguments.config_file)
    if stored:
        login.run(arguments)
    before = file.read_bytes() if stored else None
    write_secret(arguments.config_file.parent / "given", simulator.entra.issue_refresh_token())
    simulator.faults.add(Fault(kind="mfa_header", text="false"))
    kept = "the stored one stays" if stored else "nothing is stored"
    with pytest.raises(MfaRequired, match=f"was not saved, {kept}: .*without MFA") as refused:
        login.run(arguments)
    assert "require MFA for the account" in refused.value.remedy
    assert (file.read_bytes() if file.exists() else None) == before
