"""A file with a secret in it that every user can read is worth a warning, once for each time that it is read."""

from pathlib import Path

import pytest

from exporter.config import load
from tests.support.logs import LogStream
from tests.unit.config.conftest import PARTNER

ENVIRONMENT = {"SECRET": "s3cret", "HOST": "[::1]"}
FROM_A_VARIABLE = PARTNER.replace("hunter2", "${SECRET}")
WARNED = {
    "a client secret": (PARTNER, "partners[0].client_secret"),
    "part of a client secret": (PARTNER.replace("hunter2", "hunter${SECRET}"), "partners[0].client_secret"),
    "a dollar sign": (PARTNER.replace("hunter2", "$${SECRET}"), "partners[0].client_secret"),
    "a proxy's password": (FROM_A_VARIABLE + "http: {proxy_url: 'http://u:pw@host:80'}\n", "http.proxy_url"),
    "both": (PARTNER + "http: {proxy_url: 'http://u:pw@host:80'}\n", "partners[0].client_secret http.proxy_url"),
}
SILENT = {
    "a variable": FROM_A_VARIABLE,
    "a file": PARTNER.replace("client_secret: hunter2", "client_secret_file: secret"),
    "a proxy without a password": FROM_A_VARIABLE + "http: {proxy_url: 'http://host:80'}\n",
    "a proxy's password in a variable": FROM_A_VARIABLE + "http: {proxy_url: 'http://u:${SECRET}@host:80'}\n",
    "a proxy in a variable": FROM_A_VARIABLE + "http: {proxy_url: 'http://u:${SECRET}@${HOST}:80'}\n",
    "nothing of http": FROM_A_VARIABLE + "http:\n",
}


def write(folder: Path, text: str, mode: int) -> Path:
    file = folder / "config.yaml"
    file.write_text(text)
    (folder / "secret").write_text("hunter2\n")
    file.chmod(mode)
    return file


@pytest.mark.parametrize(("text", "keys"), WARNED.values(), ids=WARNED)
@pytest.mark.parametrize("mode", [0o644, 0o604, 0o666])
def test_a_secret_in_a_file_for_everyone_is_warned_of_with_a_fix_and_never_shown(
    tmp_path: Path, log_stream: LogStream, text: str, keys: str, mode: int
) -> None:
    file = write(tmp_path, text, mode)
    load(file, ENVIRONMENT)
    [entry] = log_stream.entries
    assert (entry["level"], entry["msg"]) == ("warn", "configuration file with a secret is world-readable")
    assert (entry["file"], entry["keys"]) == (str(file), keys)
    assert "chmod 0600" in entry["remedy"]
    assert "client_secret_file" in entry["remedy"]
    assert "hunter" not in log_stream.getvalue()


@pytest.mark.parametrize("text", [text for text, _ in WARNED.values()], ids=WARNED)
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400])
def test_a_secret_in_a_private_file_is_nothing_to_say(
    tmp_path: Path, log_stream: LogStream, text: str, mode: int
) -> None:
    load(write(tmp_path, text, mode), ENVIRONMENT)
    assert log_stream.entries == []


@pytest.mark.parametrize("text", SILENT.values(), ids=SILENT)
def test_a_file_without_a_secret_may_be_for_everyone(tmp_path: Path, log_stream: LogStream, text: str) -> None:
    load(write(tmp_path, text, 0o644), ENVIRONMENT)
    assert log_stream.entries == []
