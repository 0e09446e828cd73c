"""From Partner Center to the operator: simulator, exporter, Prometheus and Alertmanager, all of them real.

The rules are the shipped ones: only their `for` and `keep_firing_for` are a second, and so is the scrape
interval.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.simulator import Fault, Simulator
from tests.e2e.conftest import NO_AUTHORITIES, Process, program, start
from tests.fixtures import usage_item
from tests.support.config import write_config
from tests.support.monitoring import Alert, Inbox, alertmanager, inbox, load_rules, name_of, watching
from tests.support.process import run_command, until
from tests.support.prometheus import Prometheus
from tests.support.rules import ALERTS

BELOW = ("PartnerCenterUsageBelowTarget", "contoso")
REFUSED = ("PartnerCenterSignInRefused", "fabrikam")


@dataclass(frozen=True, slots=True)
class Monitored:
    """An exporter of two partners, and those who watch it."""

    contoso: Simulator
    fabrikam: Simulator
    file: Path
    process: Process
    prometheus: Prometheus
    inbox: Inbox


@pytest.fixture
def monitored(tmp_path: Path) -> Iterator[Monitored]:
    """Contoso's Exchange is below its target, and fabrikam's refresh token is dead."""
    programs = program("prometheus"), program("prometheus-alertmanager", "prometheus-alertmanager")
    with Simulator(seed=1) as contoso, Simulator(seed=2) as fabrikam, inbox() as arriving:
        contoso.faults.add(Fault(kind="rows", endpoint="usage", rows=[low_exchange()]))
        file = two_partners(tmp_path, contoso, fabrikam)
        fabrikam.entra.revoke_all()
        with start(file) as process:
            process.wait_until_ready()
            target = process.url.removeprefix("http://")
            with (
                alertmanager(programs[1], tmp_path, arriving.url) as address,
                watching(programs[0], tmp_path, target, address) as running,
            ):
                yield Monitored(contoso, fabrikam, file, process, running, arriving)


def low_exchange() -> dict[str, Any]:
    processed = datetime.now(UTC) - timedelta(days=5)
    return usage_item(proratedLicensesUsagePercent=31.25, processedDateTime=processed.isoformat())


def two_partners(folder: Path, contoso: Simulator, fabrikam: Simulator) -> Path:
    """Write a configuration with one target, which contoso's Exchange reaches in ordinary times."""
    target = {"ratio": 0.5, "partner": "contoso", "workload": "Exchange", "channel": "reseller"}
    other = write_config(folder / "fabrikam", fabrikam, partner={"name": "fabrikam"})
    file = write_config(folder, contoso, targets=[target], poll={"interval": "1m"})
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    [partner] = yaml.safe_load(other.read_text())["partners"]
    for key in ("client_secret_file", "refresh_token_file"):
        partner[key] = f"fabrikam/{partner[key]}"
    content["partners"].append(partner)
    (folder / "ca.pem").write_bytes(contoso.ca_pem + fabrikam.ca_pem)
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def sign_in_again(monitored: Monitored) -> None:
    """Do what the runbook says, with a token that the operator has."""
    flags = ("login", f"--config.file={monitored.file}", "--partner=fabrikam", "--import-refresh-token=-")
    token = monitored.fabrikam.entra.issue_refresh_token()
    ended = run_command(*flags, typed=token, env=NO_AUTHORITIES)
    assert ended.returncode == 0, ended.stderr


def firing(running: Prometheus) -> set[Alert]:
    return {name_of(dict(labels)) for labels in running.newest('ALERTS{alertstate="firing"}')}


def test_the_right_alerts_and_only_these_reach_the_operator_and_resolve_when_mended(
    monitored: Monitored,
) -> None:
    load_rules(monitored.prometheus, monitored.file.parent)
    until(lambda: len(monitored.inbox.of("firing")) == 2)

    # Prometheus has gone on evaluating all rules meanwhile.
    assert firing(monitored.prometheus) == {BELOW, REFUSED}
    messages = monitored.inbox.of("firing")
    assert set(messages) == {BELOW, REFUSED}
    assert messages[BELOW].labels == {
        "alertname": BELOW[0],
        "partner": "contoso",
        "workload": "Exchange",
        "service": "o365",
        "channel": "reseller",
        "severity": "warning",
    }
    assert messages[REFUSED].labels == {
        "alertname": REFUSED[0],
        "partner": "fabrikam",
        "severity": "critical",
    }
    shipped = {alert.name: alert.keys["annotations"] for alert in ALERTS}
    for name, partner in messages:
        said = messages[name, partner].annotations
        assert {key: said[key] for key in ("summary", "runbook_url", "dashboard_url")} == {
            key: shipped[name][key] for key in ("summary", "runbook_url", "dashboard_url")
        }
        assert partner in said["description"]
    assert (
        "Exchange (o365, reseller) of contoso: 31.25% of the licences are in use, the target is 50%."
        in messages[BELOW].annotations["description"]
    )
    assert (
        messages[REFUSED]
        .annotations["description"]
        .endswith("partnercenter-exporter login --partner fabrikam")
    )

    sign_in_again(monitored)
    monitored.contoso.faults.clear()
    until(lambda: REFUSED in monitored.inbox.of("resolved"))
    # The next poll of a source that works comes after its interval, of a minute at the least.
    until(lambda: BELOW in monitored.inbox.of("resolved"), within_seconds=120)
    assert firing(monitored.prometheus) == set()
    assert set(monitored.inbox.of("firing")) == {BELOW, REFUSED}


def test_a_scrape_that_forgets_to_honor_labels_is_told(simulator: Simulator, tmp_path: Path) -> None:
    with start(write_config(tmp_path, simulator)) as process:
        process.wait_until_ready()
        target = process.url.removeprefix("http://")
        nobody = "127.0.0.1:9"
        with watching(program("prometheus"), tmp_path, target, nobody, honor_labels=False) as running:
            load_rules(running, tmp_path)
            until(lambda: ("PartnerCenterLabelsClash", "") in firing(running))
            [clash] = running.newest('ALERTS{alertname="PartnerCenterLabelsClash"}')
            assert dict(clash)["instance"] == target
