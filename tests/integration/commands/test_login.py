"""`login --import-refresh-token`: an existing token is tried, saved and described."""

import json
from pathlib import Path

import pytest

from exporter.arguments import ExitStatus, Login
from exporter.commands import login
from exporter.errors import AuthenticationError
from partnercenter_simulator import Simulator
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
