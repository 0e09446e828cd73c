"""Real Prometheus and Alertmanager with the shipped rules and examples, on this machine only."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.daemon import LOOPBACK, answers, free_port, running
from tests.support.plain_http import NO_TLS
from tests.support.process import until
from tests.support.prometheus import Prometheus, prometheus
from tests.support.rules import PROMETHEUS, RULE_FILES

Alert = tuple[str, str]
"""An alert's name and its partner."""

WAIT_SECONDS = 2
"""How long each alert waits: more than the time between scrapes, one of which may hit a poll."""


@dataclass(frozen=True, slots=True)
class Message:
    """Alertmanager's notification about one alert."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass(frozen=True, slots=True)
class Inbox:
    """Receives Alertmanager's notifications, in order."""

    url: str
    messages: list[Message] = field(default_factory=list)

    def of(self, status: str) -> dict[Alert, Message]:
        """Return the notifications of a status, `firing` or `resolved`, by alert and partner."""
        found = [message for message in self.messages if message.status == status]
        return {name_of(message.labels): message for message in found}


def name_of(labels: Mapping[str, str]) -> Alert:
    """Return an alert's name and partner."""
    return labels["alertname"], labels.get("partner", "")


@contextmanager
def inbox() -> Iterator[Inbox]:
    """Receive Alertmanager's webhooks."""
    received: list[Message] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.extend(Message(a["status"], a["labels"], a["annotations"]) for a in content["alerts"])
            self.send_response(httpx.codes.OK)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer((LOOPBACK, 0), Webhook) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Inbox(f"http://{LOOPBACK}:{server.server_address[1]}/", received)
        server.shutdown()


@contextmanager
def alertmanager(program: str, folder: Path, inbox_url: str) -> Iterator[str]:
    """Run Alertmanager with the shipped example and shorter waits; yield its host and port."""
    content: dict[str, Any] = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text("utf-8"))
    content["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    content["receivers"][0]["webhook_configs"] = [{"url": inbox_url, "send_resolved": True}]
    file = folder / "alertmanager.yml"
    file.write_text(yaml.safe_dump(content))
    address = f"{LOOPBACK}:{free_port()}"
    arguments = (
        f"--config.file={file}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    )
    with running([program, *arguments], folder / "alertmanager.log"):
        until(lambda: answers(f"http://{address}/-/ready"))
        yield address


def active(alertmanager_address: str) -> set[Alert]:
    """Return Alertmanager's unresolved alerts."""
    answer = httpx.get(f"http://{alertmanager_address}/api/v2/alerts", trust_env=False, verify=NO_TLS)
    assert answer.status_code == httpx.codes.OK, answer.text
    return {name_of(alert["labels"]) for alert in answer.json()}


@contextmanager
def watching(program: str, folder: Path, target: str, alertmanager_address: str) -> Iterator[Prometheus]:
    """Run Prometheus with the shipped example, scraping every second, and with Kubernetes' target label.

    It starts without rules and waits for the first scrape; `load_rules` loads the rules.
    """
    content: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))
    content["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    content["alerting"]["alertmanagers"][0]["static_configs"] = [{"targets": [alertmanager_address]}]
    assert content["scrape_configs"][0]["honor_labels"]
    labels = {"service": "monitoring", "namespace": "monitoring", "pod": "exporter-0"}
    content["scrape_configs"][0]["static_configs"] = [{"targets": [target], "labels": labels}]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(content))
    # After a reload it rediscovers Alertmanager, which takes seconds, and alerts sent meanwhile are lost.
    impatient = "--rules.alert.resend-delay=1s"
    with prometheus(program, file, folder / "prometheus", impatient) as started:
        until(lambda: started.newest('up{job="partnercenter-exporter"} == 1'))
        yield started


def load_rules(running: Prometheus, folder: Path) -> None:
    """Give Prometheus the shipped rules."""
    write_impatient_rules(folder / "rules")
    running.reload()


def wait_for_evaluations(running: Prometheus) -> None:
    """Wait until Alertmanager would know the current state: after a scrape, an evaluation, and the wait."""
    until(running.alerts_somebody)
    enough = time.time() + 2 + WAIT_SECONDS
    until(lambda: running.rules_evaluated_at() > enough)


def write_impatient_rules(folder: Path) -> None:
    """Write the shipped rules with the shortest `for`, average and interval everywhere, otherwise unchanged."""
    folder.mkdir()
    for shipped in RULE_FILES:
        content = yaml.safe_load(shipped.read_text("utf-8").replace("[1w:1h]", f"[{WAIT_SECONDS}s:1s]"))
        for group in content["groups"]:
            group.pop("interval", None)
            for rule in group["rules"]:
                rule |= {wait: f"{WAIT_SECONDS}s" for wait in ("for", "keep_firing_for") if wait in rule}
        (folder / shipped.name).write_text(yaml.safe_dump(content))
