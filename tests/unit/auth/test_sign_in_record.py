"""What a restart knows of the last sign-in, whatever has become of its file."""

import json
from pathlib import Path

import pytest

from exporter.auth.entra import Registration
from exporter.auth.sign_in_record import SignInRecord, SignInRecords
from exporter.files import StateDirectory
from exporter.local_text import local_text
from exporter.logs import get_logger
from exporter.messages import line
from exporter.model.status import Failure, Identity

IDENTITY = Identity("global", "tenant", "client")
REGISTRATION = Registration(
    partner=line("contoso"), identity=IDENTITY, authority=line("https://login.example/tenant"), scope="scope"
)


@pytest.mark.parametrize("text", ["\x1b]0;x\x07", "a\nb\r\nc", "\u202e", "x" * 5_000])
def test_a_saved_failure_is_shown_as_printable_lines(tmp_path: Path, text: str) -> None:
    records = SignInRecords(StateDirectory(tmp_path / "state"), REGISTRATION, get_logger())
    failure = Failure("auth", line("no"))
    records.save(SignInRecord(identity=IDENTITY, token_digest=None, up=False, failure=failure))
    file = tmp_path / "state" / "polls" / "contoso.sign-in.json"
    saved = json.loads(file.read_bytes())
    file.write_text(json.dumps(saved | {"failure": saved["failure"] | {"message": text}}))
    found = records.load()
    assert found is not None
    assert found.failure == Failure("auth", local_text(text))
