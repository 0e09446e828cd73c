"""`check --all-apis`: which APIs answer for a tenant, and what to configure."""

import json
from pathlib import Path
from typing import Any

import pytest

from exporter.arguments import Check, ExitStatus
from exporter.commands import check
from partnercenter_simulator import Fault, InsightsQuirks, Simulator
from tests.support.config import write_config

OTHER_PATH = "/partner/v1/analytics/commercial/usage/license"
# The order of the requests: legacy, commercial at both paths, Insights.
LEGACY_GONE = Fault(kind="status", endpoint="usage", status=404, times=1)
LEGACY_AND_USUAL_PATH_GONE = Fault(kind="status", endpoint="usage", status=404, times=2)
BOTH_GONE = Fault(kind="status", endpoint="usage", status=404)
BOTH_EMPTY = Fault(kind="empty_rows", endpoint="usage")
NO_ROWS = Fault(kind="replace_body", endpoint="insights_try_query", content=b'{"value": []}')
INSTEAD = "what is configured gives no current data"
NOTHING = "no API answers: follow the fix of the one that is configured first"
NO_ROLE = Fault(kind="status", endpoint="insights", status=403)


def written(folder: Path, simulator: Simulator, **usage: Any) -> Path:
    return write_config(folder, simulator, sources={"usage": usage, "deployment": {"enabled": False}})


@pytest.mark.parametrize(
    ("usage", "faults", "ends", "advice"),
    [
        (
            {},
            [LEGACY_AND_USUAL_PATH_GONE, NO_ROLE],
            ExitStatus.FAILED,
            f"set `api: commercial, path: {OTHER_PATH}`: {INSTEAD}",
        ),
        ({"api": "commercial"}, [BOTH_GONE], ExitStatus.FAILED, f"set `api: insights`: {INSTEAD}"),
        ({"api": "insights"}, [LEGACY_GONE, NO_ROLE], ExitStatus.FAILED, f"set `api: commercial`: {INSTEAD}"),
        ({}, [BOTH_GONE, NO_ROLE], ExitStatus.FAILED, NOTHING),
        (
            {},
            [BOTH_EMPTY, NO_ROWS],
            ExitStatus.SUCCESS,
            "no API has data: the account may lack a role in this tenant, or the tenant has no such licences yet",
        ),
        ({}, [], ExitStatus.SUCCESS, "keep `api: legacy`, or set `api: commercial`, which gives licence counts too"),
        (
            {"api": "commercial", "path": OTHER_PATH},
            [],
            ExitStatus.SUCCESS,
            f"keep `api: commercial, path: {OTHER_PATH}`",
        ),
        ({"api": "insights"}, [NO_ROLE, BOTH_GONE], ExitStatus.FAILED, NOTHING),
        ({"api": "insights"}, [], ExitStatus.SUCCESS, "keep `api: insights`"),
    ],
)
def test_every_api_is_asked_once_and_one_line_says_what_to_configure(
    simulator: Simulator,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    usage: dict[str, Any],
    faults: list[Fault],
    ends: ExitStatus,
    advice: str,
) -> None:
    simulator.faults.add(*faults)
    assert check.run(Check(config_file=written(tmp_path, simulator, **usage), all_apis=True)) is ends
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines if "Advice" in line] == [f"Advice: {advice}."]
    asked = [request.path for request in simulator.requests.of("usage")]
    assert sorted(asked) == [
        "/partner/v1/analytics/commercial/usage/license",
        "/v1/analytics/commercial/usage/license/",
        "/v1/analytics/licenses/usage",
    ]
    assert simulator.requests.count("insights_catalogue") == 1
    assert {request.method for request in simulator.requests.of()} <= {"GET", "POST"}
    assert simulator.requests.count("deployment") == 0


def test_the_text_is_a_table_with_the_reason_of_each_api_that_does_not_answer(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator.faults.add(LEGACY_AND_USUAL_PATH_GONE, NO_ROLE)
    check.run(Check(config_file=written(tmp_path, simulator), all_apis=True))
    lines = capsys.readouterr().out.splitlines()
    top = next(number for number, line in enumerate(lines) if line.split()[:2] == ["api", "path"])
    rows = [line.split()[:4] for line in lines[top + 2 : top + 6]]
    assert rows == [
        ["legacy", "-", "no:", "not_found"],
        ["commercial", "/v1/analytics/commercial/usage/license/", "no:", "not_found"],
        ["commercial", OTHER_PATH, "yes", "24"],
        ["insights", "-", "no:", "forbidden"],
    ]
    assert lines[top + 2].endswith("yes")  # it is configured
    failed = [line.strip() for line in lines if "FAILED" in line]
    assert [line.partition(":")[0] for line in failed] == [
        "legacy",
        "commercial /v1/analytics/commercial/usage/license/",
        "insights",
    ]
    assert any(line.startswith("      Fix: give the account the role Executive report viewer") for line in lines)


def test_the_notes_of_an_answer_are_shown_with_its_api(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator.insights.quirks = InsightsQuirks(data_redacted=True)
    check.run(Check(config_file=written(tmp_path, simulator), all_apis=True))
    assert "    insights: Microsoft withholds some values of OfficeUsage" in capsys.readouterr().out


def test_json_has_every_api_with_its_outcome_and_the_advice(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator.faults.add(LEGACY_AND_USUAL_PATH_GONE, NO_ROLE)
    assert check.run(Check(config_file=written(tmp_path, simulator), all_apis=True, json=True)) is ExitStatus.FAILED
    [partner] = json.loads(capsys.readouterr().out)["partners"]
    assert partner["sign_in"]["mfa_compliant"] is True
    [usage] = partner["sources"]
    assert (usage["source"], usage["api"], usage["status"], usage["reason"]) == (
        "usage",
        "legacy",
        "failed",
        "not_found",
    )
    assert [(one["api"], one["path"], one["configured"], one["status"]) for one in usage["apis"]] == [
        ("legacy", None, True, "failed"),
        ("commercial", "/v1/analytics/commercial/usage/license/", False, "failed"),
        ("commercial", OTHER_PATH, False, "ok"),
        ("insights", None, False, "failed"),
    ]
    answered, refused = usage["apis"][2:]
    assert answered["rows"] == 24
    assert answered["newest_processed"]
    assert (refused["reason"], refused["correlation_id"] is None) == ("forbidden", False)
    assert usage["advice"].startswith(f"set `api: commercial, path: {OTHER_PATH}`")


def test_no_personal_data_is_asked_for(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, simulator, api="commercial", detail=["customer"])
    assert check.run(Check(config_file=file, all_apis=True)) is ExitStatus.SUCCESS
    assert "customer" not in str([dict(request.query) for request in simulator.requests.of()]).lower()
    assert "Advice: keep `api: commercial`." in capsys.readouterr().out


def test_without_a_sign_in_nothing_is_asked(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, simulator)
    simulator.entra.revoke_all()
    assert check.run(Check(config_file=file, all_apis=True)) is ExitStatus.FAILED
    assert "Advice" not in capsys.readouterr().out
    assert simulator.requests.count("usage") == 0


@pytest.mark.parametrize(
    ("said", "shown"),
    [("true", "  MFA: OK"), ("False", "  MFA: MISSING\n    Fix: the token was issued without MFA"), ("", None)],
)
@pytest.mark.parametrize("all_apis", [False, True])
def test_what_partner_center_says_of_mfa_is_shown(
    simulator: Simulator,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    said: str,
    shown: str | None,
    *,
    all_apis: bool,
) -> None:
    simulator.faults.add(Fault(kind="mfa_header", text=said))
    assert check.run(Check(config_file=written(tmp_path, simulator), all_apis=all_apis)) is ExitStatus.SUCCESS
    printed = capsys.readouterr().out
    assert (shown or "\n") in printed
    assert ("MFA" in printed) == (shown is not None)
