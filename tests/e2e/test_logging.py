"""Log lines: a constant message with fields, in both formats."""

import json
import re
from pathlib import Path
from typing import Any

from partnercenter_simulator import Fault, Simulator
from tests.e2e.conftest import NO_AUTHORITIES, Process, start
from tests.support.config import write_config

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"
GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
PATH = "/v1/analytics/licenses/usage"
REMEDY = (
    "check that the account has a partner role in Partner Center and signed in for this partner tenant; "
    "indirect resellers have no access to this API"
)
SUCCEEDED = {
    "ts": TIME,
    "level": "info",
    "msg": "poll succeeded",
    "partner": "contoso",
    "source": "deployment",
    "rows": 6,
    "duration": r"\d+\.\d\ds",
    "next_in": r"\d+s",
}
FAILED = {
    "ts": TIME,
    "level": "error",
    "msg": "poll failed",
    "partner": "contoso",
    "source": "usage",
    "reason": "forbidden",
    "error": re.escape(f"{PATH} returned 403 (403: Simulated fault.)"),
    "remedy": re.escape(REMEDY),
    "endpoint": PATH,
    "status": 403,
    "correlation_id": GUID,
    "request_id": GUID,
    "retry_in": r"\d+s",
}


def lines_of(simulator: Simulator, folder: Path, *flags: str) -> list[str]:
    """Run the exporter until usage has failed and deployment has not; return what it logged."""
    simulator.faults.add(Fault(kind="status", endpoint="usage", status=403))
    with start(write_config(folder, simulator), *flags) as process:
        process.wait_until_ready()
        assert process.stop() == 0
        return process.stderr.splitlines()


def logfmt(fields: dict[str, Any]) -> re.Pattern[str]:
    """Return the pattern of a line with exactly these fields, in this order."""
    pairs = []
    for name, value in fields.items():
        pattern = str(value)
        pairs.append(rf'{name}="{pattern}"' if " " in pattern else f"{name}={pattern}")
    return re.compile(" ".join(pairs))


def test_poll_lines_in_logfmt_have_constant_messages_and_fields(simulator: Simulator, tmp_path: Path) -> None:
    lines = lines_of(simulator, tmp_path)
    for fields in (SUCCEEDED, FAILED):
        found = [line for line in lines if f'msg="{fields["msg"]}"' in line]
        assert len(found) == 1
        assert logfmt(fields).fullmatch(found[0]), found[0]
    assert all(re.match(rf"ts={TIME} level=(info|warn|error) msg=", line) for line in lines)


def test_poll_lines_in_json_have_the_same_messages_and_fields(simulator: Simulator, tmp_path: Path) -> None:
    entries = [json.loads(line) for line in lines_of(simulator, tmp_path, "--log.format=json")]
    for fields in (SUCCEEDED, FAILED):
        [entry] = [entry for entry in entries if entry["msg"] == fields["msg"]]
        assert set(entry) == set(fields)
        for name, value in fields.items():
            assert type(entry[name]) is type(value), name
            assert re.fullmatch(str(value), str(entry[name])), name
    assert all({"ts", "level", "msg"} <= entry.keys() for entry in entries)
    assert [entry["msg"] for entry in entries if entry["msg"].startswith(("exporter", "stopping"))] == [
        "exporter started",
        "stopping",
        "exporter stopped",
    ]


def test_the_log_level_leaves_out_what_is_below_it(simulator: Simulator, tmp_path: Path) -> None:
    simulator.faults.add(Fault(kind="status", endpoint="usage", status=403))
    file = write_config(tmp_path, simulator)
    flags = ("--log.level=error", f"--config.file={file}", "--web.listen-address=127.0.0.1:0")
    with Process(*flags, env=NO_AUTHORITIES) as process:
        process.wait_for_log("poll failed")
        assert process.stop() == 0
        lines = process.stderr.splitlines()
    assert [line.split()[1] for line in lines] == ["level=error"]
