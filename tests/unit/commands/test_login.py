"""`login`: what is not a token is rejected before anyone is asked."""

import io
import sys
from pathlib import Path

import pytest

from exporter.arguments import Login
from exporter.commands import login
from exporter.errors import ConfigurationError


def rejection(config_file: Path, source: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        login.run(Login(config_file=config_file, partner="contoso", import_refresh_token=source))
    return str(raised.value)


@pytest.mark.parametrize("typed", ["", "\n", "two words", "line\nline", "gr\u00fcn", "\x1b[200~token"])
def test_an_invalid_token_is_rejected(config_file: Path, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert rejection(config_file, "-").startswith("command line: --import-refresh-token: not a refresh token")


def test_a_file_that_can_not_be_read_is_named(config_file: Path, tmp_path: Path) -> None:
    missing, binary = tmp_path / "missing", tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    assert rejection(config_file, str(missing)).endswith(f"can't read {missing}: No such file or directory")
    assert rejection(config_file, str(binary)).endswith(f"can't read {binary}: not a text file")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("tok\N{NO-BREAK SPACE}en", "character 4 is U+00A0 (NO-BREAK SPACE)"),
        ("token\N{ZERO WIDTH SPACE}\n", "character 6 is U+200B (ZERO WIDTH SPACE)"),
    ],
)
def test_a_character_that_no_token_contains_is_named(
    config_file: Path, tmp_path: Path, content: str, words: str
) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    assert words in rejection(config_file, str(file))
