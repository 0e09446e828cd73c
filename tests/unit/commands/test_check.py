"""`check`: its table and its messages."""

from pathlib import Path

import pytest

from exporter.arguments import Check
from exporter.commands import check
from exporter.commands.check_text import failure, table
from exporter.errors import Exchange, Forbidden, NetworkError
from exporter.messages import line
from exporter.metrics.targets import Target
from exporter.model.rows import DeploymentRow, UsageRow

AT = 1_489_104_000.0


def cells(text: str) -> list[list[str]]:
    """Return the table's cells without the rule below the headings."""
    lines = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]
    return [lines[0], *lines[2:]]


def test_usage_without_counts_has_no_columns_for_them() -> None:
    rows = [UsageRow("Exchange", "o365", "reseller", 0.875, processed_at=AT), UsageRow("Te\x1bams", "o365", "direct")]
    assert cells(table(rows, [Target(ratio=0.8), None])) == [
        ["workload", "service", "channel", "usage", "target", "processed"],
        ["Exchange", "o365", "reseller", "87.5%", "80%", "2017-03-10 00:00:00 UTC"],
        ["Te\N{REPLACEMENT CHARACTER}ams", "o365", "direct", "-", "-", "-"],
    ]


def test_usage_with_counts_shows_them() -> None:
    rows = [
        UsageRow("Exchange", "o365", "reseller", 0.5, active=1000.0, qualified=2000.0),
        UsageRow("Teams", "o365", "reseller", qualified=7.0),
    ]
    assert cells(table(rows, [None, None]))[1:] == [
        ["Exchange", "o365", "reseller", "50.0%", "1,000", "2,000", "-"],
        ["Teams", "o365", "reseller", "-", "-", "7", "-"],
    ]


def test_deployment_shows_what_is_known() -> None:
    legacy = table([DeploymentRow("o365", "reseller", 0.25, sold=4.0, processed_at=AT)], [None])
    assert cells(legacy) == [
        ["service", "channel", "deployment", "licences sold", "processed"],
        ["o365", "reseller", "25.0%", "4", "2017-03-10 00:00:00 UTC"],
    ]
    commercial = table([DeploymentRow("o365", "reseller", 0.25, sold=4.0, deployed=1.0)], [None])
    assert cells(commercial) == [
        ["service", "channel", "deployment", "licences deployed", "licences sold", "processed"],
        ["o365", "reseller", "25.0%", "1", "4", "-"],
    ]


def test_a_failure_says_how_to_fix_it_and_what_to_quote() -> None:
    exchange = Exchange(line("/v1/usage"), 403, correlation_id=line("c-1"), request_id=line("r-1"))
    error = Forbidden(line("/v1/usage answers 403"), remedy=line("give the account a role"), exchange=exchange)
    assert failure("usage (legacy API)", error).splitlines() == [
        "  usage (legacy API): FAILED (forbidden): /v1/usage answers 403",
        "    Fix: give the account a role.",
        "    For Microsoft support: correlation ID c-1, request ID r-1",
    ]
    assert failure("sign-in", NetworkError(line("refused"))) == "  sign-in: FAILED (network): refused"


def test_offline_only_validates_the_configuration(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for partner, summary in (
        (None, "2 partners (contoso, Fabrikam), 4 sources"),
        ("contoso", "1 partner (contoso), 2 sources"),
    ):
        assert check.run(Check(config_file=config_file, partner=partner, offline=True)) == 0
        assert capsys.readouterr() == (f"{config_file}: configuration is valid: {summary}\n", "")
    assert not (config_file.parent / "state").exists()
