"""What the example for Alertmanager keeps silent, asked of a real one."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import program
from tests.support.monitoring import alertmanager
from tests.support.plain_http import NO_TLS
from tests.support.process import until

HERE = {"cluster": "west", "namespace": "x", "partner": "contoso", "source": "usage", "severity": "warning"}
ABSENT = {"alertname": "PartnerCenterExporterAbsent", "job": "partnercenter-exporter", "severity": "critical"}


def alert(name: str, **labels: str) -> dict[str, str]:
    """Return the labels of an alert; an empty one is left out."""
    given = {"alertname": f"PartnerCenter{name}", **HERE, **labels}
    return {label: value for label, value in given.items() if value}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an Alertmanager with the example's rules."""
    folder: Path = tmp_path_factory.mktemp("alertmanager")
    running = program("prometheus-alertmanager", "prometheus-alertmanager")
    with alertmanager(running, folder, "http://127.0.0.1:9/") as host:
        yield f"http://{host}/api/v2/alerts"


def silenced(address: str, case: str, *alerts: dict[str, str]) -> set[str]:
    """Send alerts of one case, and return the names of those that are inhibited."""
    sent = [{"labels": {**labels, "case": case}} for labels in alerts]
    with httpx.Client(trust_env=False, verify=NO_TLS) as client:
        client.post(address, json=sent).raise_for_status()

        def ours() -> list[dict[str, dict[str, str]]]:
            found = client.get(address, params={"filter": f'case="{case}"'})
            return [one for one in json.loads(found.content) if one["status"]["state"] != "unprocessed"]

        until(lambda: len(ours()) == len(sent))
        inhibited = {one["labels"]["alertname"] for one in ours() if one["status"]["inhibitedBy"]}
        ended = [one | {"endsAt": "2020-01-01T00:00:00Z", "startsAt": "2019-01-01T00:00:00Z"} for one in sent]
        client.post(address, json=ended).raise_for_status()
        until(lambda: not ours())
    return {name.removeprefix("PartnerCenter") for name in inhibited}


SIGN_IN = alert("SignInRefused", source="", severity="critical")
FAILING = alert("PollsFailing")


@pytest.mark.parametrize(
    ("source", "targets", "inhibited"),
    [
        (ABSENT, [alert("ExporterDown"), alert("PartnerMissing", severity="critical")], set()),
        (
            ABSENT,
            [alert("ExporterDown", cluster=""), alert("PartnerMissing", cluster="")],
            {"ExporterDown", "PartnerMissing"},
        ),
        (
            SIGN_IN,
            [alert("RefreshTokenExpiresSoon", source=""), alert("DataNotProcessed")],
            {"RefreshTokenExpiresSoon", "DataNotProcessed"},
        ),
        (SIGN_IN, [alert("ClientSecretExpiresSoon", source=""), alert("UsageBelowTarget")], set()),
        (
            SIGN_IN,
            [alert("RefreshTokenExpiresSoon", partner="fabrikam"), alert("DataNotProcessed", namespace="y")],
            set(),
        ),
        (
            FAILING,
            [alert("DataNotProcessed"), alert("NoUsableRows"), alert("RowsDropped")],
            {"DataNotProcessed", "NoUsableRows", "RowsDropped"},
        ),
        (FAILING, [alert("DataNotProcessed", source="deployment"), alert("RowsDropped", cluster="east")], set()),
        (alert("PollsFailing", severity="critical"), [FAILING, alert("Throttled")], {"PollsFailing"}),
        (alert("UsageFell", workload="Teams"), [alert("UsageDeclining", workload="Teams")], {"UsageDeclining"}),
        (alert("UsageFell", workload="Teams"), [alert("UsageDeclining", workload="Exchange")], set()),
    ],
)
def test_consequences_are_silent_while_their_cause_fires(
    address: str,
    source: dict[str, str],
    targets: list[dict[str, str]],
    inhibited: set[str],
    request: pytest.FixtureRequest,
) -> None:
    assert silenced(address, request.node.name, source, *targets) == inhibited
