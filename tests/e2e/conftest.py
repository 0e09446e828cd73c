"""The real program against the simulator, over TLS with the simulator's own CA."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from exporter.cli import main
from partnercenter_simulator import Fault, Simulator
from tests.integration.exposition import Exposition
from tests.support.config import write_config
from tests.support.logs import recorded_logs
from tests.support.plain_http import NO_TLS
from tests.support.process import PATIENCE_SECONDS, ExporterProcess, restored_process, run_command, until
from tests.support.system_calls import SystemCalls, unavailable

# Only the CA from the configuration; it also saves each process 40 ms of reading the system's CAs.
NO_AUTHORITIES = {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}

# The response from Microsoft's documentation:
# learn.microsoft.com/partner-center/developer/get-partner-licenses-usage-information
PUBLISHED_ROWS: list[dict[str, object]] = [
    {
        "workloadName": workload,
        "serviceName": service,
        "channel": "reseller",
        "proratedLicensesUsagePercent": 0.0,
        "processedDateTime": processed,
        "attributes": {"objectType": "PartnerLicensesUsageInsights"},
    }
    for workload, service, processed in (
        ("Microsoft Dynamics CRM", "crm", "2017-03-10T00:00:00+00:00"),
        ("SharePoint", "crm", "2017-03-10T00:00:00+00:00"),
        ("Exchange", "o365", "2017-03-09T00:00:00+00:00"),
        ("SharePoint", "o365", "2017-03-09T00:00:00+00:00"),
        ("Skype For Business", "o365", "2017-03-09T00:00:00+00:00"),
    )
]


class Process(ExporterProcess):
    """The exporter, with the requests that tests send to it."""

    def ask(self, path: str = "/metrics", *, method: str = "GET", **headers: str) -> httpx.Response:
        """Send one request; an underscore in a header's name stands for a hyphen."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.request(
            method, self.url + path, headers=named, trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS
        )

    def scrape(self) -> Exposition:
        """Return what Prometheus would store."""
        return Exposition(self.ask().text)

    def wait_until_ready(self) -> None:
        """Wait until every source has finished a poll."""
        until(lambda: self.ask("/-/ready").status_code == httpx.codes.OK)

    def wait_for_log(self, words: str, times: int = 1) -> None:
        """Wait until this message was logged this many times."""
        until(lambda: self.stderr.count(words) >= times)

    def expect_logged(self, words: str, times: int) -> None:
        """Wait until this message was logged so often, since the log follows what it tells of; fail if more often."""
        self.wait_for_log(words, times)
        assert self.stderr.count(words) == times


def start(file: Path, *flags: str, **env: str) -> Process:
    """Start the exporter on a free port."""
    return Process.running(file, *flags, env={**NO_AUTHORITIES, **env})


@dataclass(frozen=True)
class Serving:
    """An exporter with three partners: two working, each on its own simulator, one without a token."""

    process: Process
    contoso: Simulator
    fabrikam: Simulator
    file: Path


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """An exporter after its first polls, for all tests that only read."""
    folder = tmp_path_factory.mktemp("serving")
    with Simulator(seed=1) as contoso, Simulator(seed=2) as fabrikam:
        contoso.faults.add(Fault(kind="rows", endpoint="usage", rows=PUBLISHED_ROWS))
        file = three_partners(folder, contoso, fabrikam)
        with start(file) as process:
            process.wait_until_ready()
            yield Serving(process, contoso, fabrikam, file)


def three_partners(folder: Path, contoso: Simulator, fabrikam: Simulator) -> Path:
    """Write the configuration of the fixture `serving`; return the file."""
    file = write_config(
        folder,
        contoso,
        partner={"client_secret_expires": "2027-05-01"},
        targets=[{"ratio": 0.5}, {"ratio": 0.8, "workload": "Exchange"}, {"ratio": 0.7, "workload": "Exchnage"}],
    )
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    (folder / "ca.pem").write_bytes(contoso.ca_pem + fabrikam.ca_pem)
    (folder / "secret-2").write_text(fabrikam.client_secret)
    (folder / "token-2").write_text(fabrikam.entra.issue_refresh_token())
    content["partners"] += [
        {
            "name": "fabrikam",
            "tenant_id": fabrikam.tenant_id,
            "client_id": fabrikam.client_id,
            "client_secret_file": "secret-2",
            "refresh_token_file": "token-2",
            "authority": fabrikam.authority,
            "api_url": fabrikam.base_url,
            "scope": f"{fabrikam.base_url}/user_impersonation",
        },
        content["partners"][0] | {"name": "initech", "refresh_token_file": None},
    ]
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


@dataclass(frozen=True)
class Ended:
    """The result of a command."""

    status: int
    stdout: str
    stderr: str


Run = Callable[..., Ended]


def run(*arguments: str) -> Ended:
    """Run the program to completion, as a process."""
    ended = run_command(*arguments, env=NO_AUTHORITIES)
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture
def run_here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the program's main function: what a process does, without its startup."""
    for name, value in NO_AUTHORITIES.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str) -> Ended:
        with recorded_logs(), restored_process():
            try:
                status = main(arguments)
            except SystemExit as leaving:
                status = int(leaving.code or 0)
        printed = capsys.readouterr()
        return Ended(status, printed.out, printed.err)

    return call


def program(name: str, package: str = "prometheus") -> str:
    """Return the path of a program packaged by Debian; if missing, the test is skipped, and fails in CI."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed: apt-get install {package}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


def lint(text: str) -> subprocess.CompletedProcess[str]:
    """Run `promtool check metrics` on an exposition."""
    command = [program("promtool"), "check", "metrics"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)  # noqa: S603  promtool


@pytest.fixture
def calls(tmp_path: Path) -> Iterator[SystemCalls]:
    """The calls on files that a file system may never end, or refuse."""
    if reason := unavailable():
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with SystemCalls(tmp_path, "fsync", "flock", "openat", "newfstatat", "fstat", "renameat") as watched:
        yield watched
