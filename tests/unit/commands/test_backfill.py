"""`backfill`: which days and sources it takes, and what it rejects."""

import random
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from exporter.arguments import Backfill
from exporter.commands import backfill
from exporter.errors import ConfigurationError, StateError, Throttled
from exporter.messages import line
from exporter.model.rows import SourceName

DAY = date(2026, 3, 1)


@pytest.fixture
def arguments(config_file: Path, tmp_path: Path) -> Backfill:
    return Backfill(config_file=config_file, first=DAY, last=DAY, output=tmp_path / "past")


def test_contradicting_flags_are_usage_errors(arguments: Backfill) -> None:
    with pytest.raises(ConfigurationError, match="--from: 2026-03-02 is after --to: give an earlier day"):
        backfill.run(replace(arguments, first=date(2026, 3, 2)))
    with pytest.raises(ConfigurationError, match="--label: duplicate label name"):
        backfill.run(replace(arguments, labels=(("job", "a"), ("job", "b"))))


def test_the_legacy_api_has_no_past(arguments: Backfill, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigurationError, match="no source has history: set `api: commercial`"):
        backfill.run(replace(arguments, partner="contoso"))
    assert capsys.readouterr().err.splitlines() == [
        f"contoso {source}: skipped: the legacy API has no history" for source in SourceName
    ]
    assert not arguments.output.exists()


def test_a_folder_that_can_not_be_created_is_named(arguments: Backfill, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    text = arguments.config_file.read_text("utf-8")
    arguments.config_file.write_text(f"{text}sources: {{usage: {{api: commercial}}}}\n", "utf-8")
    with pytest.raises(StateError, match=f"can't create {tmp_path / 'file' / 'past'}: Not a directory"):
        backfill.run(replace(arguments, output=tmp_path / "file" / "past"))


def test_both_ends_are_days() -> None:
    days = list(backfill.days(date(2026, 2, 27), DAY))
    assert days == [date(2026, 2, 27), date(2026, 2, 28), DAY]


def test_the_api_may_ask_for_any_wait() -> None:
    error = Throttled(line("too many requests"), retry_after_seconds=7200.0)
    rng = random.Random(1)  # noqa: S311  it spreads retries
    assert backfill.PATIENT.delay(error, attempt=1, elapsed_seconds=86_400.0, rng=rng) == 7200
