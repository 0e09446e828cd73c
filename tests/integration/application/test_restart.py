"""What is known after a restart, before the next poll is due."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.application.conftest import Exporter
from tests.support.config import token_file


def replace_by_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


SPOILT: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "half": lambda file: file.write_bytes(file.read_bytes()[:40]),
    "world-readable": lambda file: file.chmod(0o644),
    "a directory": replace_by_directory,
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_stored_token_that_is_of_no_use_any_more_shows_within_a_minute_of_a_restart(
    exporter: Exporter, spoilt: str
) -> None:
    exporter.change(partner={"refresh_token_file": None})
    exporter.stop()
    file = token_file(exporter.file)
    content = file.read_bytes()
    SPOILT[spoilt](file)
    exporter.start()
    exporter.pass_time(60)
    assert exporter.scrape().value("partnercenter_auth_up", partner="contoso") == 0
    assert exporter.app.sign_ins()[0].failure is not None
    assert exporter.scrape().select("partnercenter_license_usage_ratio")
    if file.is_dir():
        file.rmdir()
    file.write_bytes(content)
    file.chmod(0o600)
    exporter.pass_time(2)
    assert exporter.scrape().value("partnercenter_auth_up", partner="contoso") == 1


def test_with_its_token_a_restart_keeps_the_schedule(exporter: Exporter) -> None:
    due = exporter.due_in()
    exporter.stop()
    exporter.start()
    exporter.settle()
    assert exporter.due_in() == pytest.approx(due, abs=60)
    assert exporter.scrape().value("partnercenter_auth_up", partner="contoso") == 1
