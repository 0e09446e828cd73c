"""End to end to the operator: simulator, real exporter, Prometheus and Alertmanager.

The rules are the shipped ones: except that `for`, `keep_firing_for` and the week that usage is averaged over are two
seconds, and scrapes and evaluations run every second.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from partnercenter_simulator import Fault, Simulator
from tests.e2e.conftest import NO_AUTHORITIES, Process, program, start
from tests.fixtures import commercial_usage_item
from tests.support.config import write_config
from tests.support.monitoring import (
    Alert,
    Inbox,
    Message,
    active,
    alertmanager,
    inbox,
    load_rules,
    name_of,
    wait_for_evaluations,
    watching,
)
from tests.support.process import run_command, until
from tests.support.prometheus import Prometheus
from tests.support.rules import ALERTS

BELOW = ("PartnerCenterUsageBelowTarget", "contoso")
REFUSED = ("PartnerCenterSignInRefused", "fabrikam")
EXCHANGE = {"partner": "contoso", "workload": "Exchange", "service": "o365", "channel": "reseller"}
# The target's own, which the rules keep.
PLACE = {"namespace": "monitoring"}
LABELS = {
    BELOW: {"alertname": BELOW[0], **EXCHANGE, **PLACE, "severity": "warning"},
    REFUSED: {"alertname": REFUSED[0], "partner": "fabrikam", **PLACE, "severity": "critical"},
}


@dataclass(frozen=True, slots=True)
class Monitored:
    """An exporter with two partners, and its monitoring."""

    contoso: Simulator
    fabrikam: Simulator
    file: Path
    process: Process
    prometheus: Prometheus
    alertmanager: str
    inbox: Inbox

    def poll_usage_by(self, api: str) -> None:
        """Switch the usage of both partners to another API.

        After a new sign-in this one is polled at once; the previous one would have waited for its interval.
        """
        content = yaml.safe_load(self.file.read_text())
        content["sources"] = {"usage": {"api": api}}
        self.file.write_text(yaml.safe_dump(content, sort_keys=False))
        assert self.process.ask("/-/reload", method="POST").status_code == httpx.codes.OK

    def alerts(self) -> set[Alert]:
        """Return the alerts of Prometheus and Alertmanager, which must agree."""
        wait_for_evaluations(self.prometheus)
        alerts = active(self.alertmanager)
        assert firing(self.prometheus) == alerts
        return alerts


@pytest.fixture
def monitored(tmp_path: Path) -> Iterator[Monitored]:
    """Both partners are healthy."""
    programs = program("prometheus"), program("prometheus-alertmanager", "prometheus-alertmanager")
    with Simulator(seed=1) as contoso, Simulator(seed=2) as fabrikam, inbox() as arriving:
        file = two_partners(tmp_path, contoso, fabrikam)
        with start(file, "--web.enable-lifecycle") as process:
            process.wait_until_ready()
            target = process.url.removeprefix("http://")
            with (
                alertmanager(programs[1], tmp_path, arriving.url) as address,
                watching(programs[0], tmp_path, target, address) as running,
            ):
                yield Monitored(contoso, fabrikam, file, process, running, address, arriving)


def two_partners(folder: Path, contoso: Simulator, fabrikam: Simulator) -> Path:
    """Write a configuration with one target, which contoso's Exchange normally meets."""
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


def low_exchange(simulator: Simulator) -> Fault:
    """Make the commercial API return the simulator's usage, except for Exchange: 31.25% at resellers."""
    rows = []
    for figure in simulator.dataset.usage(simulator.time.data_now()):
        low = (figure.workload, figure.service, figure.channel) == ("Exchange", "o365", "reseller")
        rows.append(
            commercial_usage_item(
                workloadName=figure.workload,
                serviceCode=figure.service,
                channel=figure.channel,
                processedDateTime=figure.processed_at.isoformat(),
                licenseActive=5 if low else figure.active,
                licensesQualified=16 if low else figure.qualified,
            )
        )
    return Fault(kind="rows", endpoint="usage", rows=rows)


def sign_in_again(monitored: Monitored) -> None:
    """Follow the runbook, with a token that the operator has."""
    flags = ("login", f"--config.file={monitored.file}", "--partner=fabrikam", "--import-refresh-token=-")
    token = monitored.fabrikam.entra.issue_refresh_token()
    ended = run_command(*flags, typed=token, env=NO_AUTHORITIES)
    assert ended.returncode == 0, ended.stderr


def firing(running: Prometheus, during: str = "") -> set[Alert]:
    """Return the alerts that fire, or fired at some point `during` a preceding range such as `[1h]`."""
    series = f'ALERTS{{alertstate="firing"}}{during}'
    found = running.newest(f"max_over_time({series})" if during else series)
    return {name_of(dict(labels)) for labels in found}


def check_texts(messages: dict[Alert, Message]) -> None:
    """Compare with the rules, and the descriptions with what happened."""
    shipped = {alert.name: alert.keys["annotations"] for alert in ALERTS}
    for (name, partner), message in messages.items():
        said = message.annotations
        for key in ("summary", "runbook_url", "dashboard_url"):
            assert said[key] == shipped[name][key]
        assert partner in said["description"]
    low = (
        r"Exchange \(o365, reseller\) of contoso: on average over the last week, \S+ of the licences were in use, the "
    )
    assert re.match(low + r"target is 50%, now it is 31\.25%\.", messages[BELOW].annotations["description"])
    remedy = "partnercenter-exporter login --partner fabrikam"
    assert messages[REFUSED].annotations["description"].endswith(remedy)


def test_the_right_alerts_and_only_these_reach_the_operator_and_resolve_once_fixed(monitored: Monitored) -> None:
    load_rules(monitored.prometheus, monitored.file.parent)
    assert monitored.alerts() == set()
    selector = ",".join(f'{name}="{value}"' for name, value in EXCHANGE.items())
    [usage] = monitored.prometheus.newest(f"partnercenter_license_usage_ratio{{{selector}}}").values()
    assert usage > 0.5
    assert len(monitored.prometheus.newest("partnercenter_auth_up == 1")) == 2

    monitored.contoso.faults.add(low_exchange(monitored.contoso))
    monitored.fabrikam.entra.revoke_all()
    monitored.poll_usage_by("commercial")
    until(lambda: len(monitored.inbox.of("firing")) >= 2)
    assert monitored.alerts() == {BELOW, REFUSED}
    sent = monitored.inbox.of("firing")
    assert {alert: message.labels for alert, message in sent.items()} == LABELS
    check_texts(sent)
    assert monitored.inbox.of("resolved") == {}

    sign_in_again(monitored)
    until(lambda: REFUSED in monitored.inbox.of("resolved"))
    assert active(monitored.alertmanager) == {BELOW}
    monitored.contoso.faults.clear()
    monitored.poll_usage_by("legacy")
    until(lambda: BELOW in monitored.inbox.of("resolved"))
    assert monitored.alerts() == set()

    assert {alert: message.labels for alert, message in monitored.inbox.of("resolved").items()} == LABELS
    assert set(monitored.inbox.of("firing")) == {BELOW, REFUSED}
    assert firing(monitored.prometheus, "[1h]") == {BELOW, REFUSED}
    assert len(monitored.prometheus.newest("partnercenter_up == 1")) == 4
