"""The demo, and the simulator on its own."""

import contextlib
import json
import re
import signal
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import NO_AUTHORITIES, Process, Run
from tests.integration.exposition import Exposition
from tests.support.cases import cases
from tests.support.plain_http import NO_TLS
from tests.support.process import PATIENCE_SECONDS, environment, until

ADDRESS = re.compile(r"https?://\S+")
RATIO = "partnercenter_license_usage_ratio"


def addresses(process: Process) -> list[str]:
    """Wait for and return the URLs that the program prints."""
    process.wait_for_output("/_simulator/")
    return ADDRESS.findall(process.stdout)


Demo = Callable[..., Process]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """Return a function that starts the demo with an empty directory for temporary files."""
    started: list[Process] = []

    def start(*flags: str, **variables: str) -> Process:
        env = {**NO_AUTHORITIES, "TMPDIR": str(tmp_path), **variables}
        started.append(Process("demo", "--web.listen-address=127.0.0.1:0", *flags, env=env))
        return started[-1]

    yield start
    for process in started:
        with process:
            pass


def simulated(address: str, path: str) -> httpx.Response:
    """Send a request to the simulator, whose CA the demo does not reveal."""
    unchecked = ssl.create_default_context()
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    return httpx.get(address + path, verify=unchecked, trust_env=False, timeout=PATIENCE_SECONDS)


def test_demo_prints_addresses_that_work_reloads_and_leaves_nothing_behind(demo: Demo, tmp_path: Path) -> None:
    process = demo("--seed=3")
    page, metrics, simulator, second = addresses(process)
    assert page.endswith("/")
    assert metrics == f"{page}metrics"
    process.wait_for_sample("partnercenter_up")
    process.wait_until_ready()
    assert "Working" in httpx.get(page, trust_env=False, verify=NO_TLS).text
    scrape = Exposition(httpx.get(metrics, trust_env=False, verify=NO_TLS).text)
    assert scrape.value("partnercenter_up", partner="contoso", source="usage") == 1
    # It shows the simulator's figures.
    for partner, address in (("contoso", simulator), ("fabrikam", second)):
        for figure in json.loads(simulated(address, "dataset").text)["usage"]:
            labels = {name: figure[name] for name in ("workload", "service", "channel")}
            assert scrape.value(RATIO, partner=partner, **labels) == pytest.approx(figure["percent"] / 100)
        named = scrape.select("partnercenter_customer_info", partner=partner)
        assert len(named) == 200
    assert process.ask("/-/reload", method="POST").status_code == 200
    assert list(tmp_path.iterdir())
    assert process.stop() == 0
    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in process.stderr
    assert "error" not in process.stderr


def test_the_demo_of_insights_has_months_and_a_target_that_matches(demo: Demo) -> None:
    process = demo("--api=insights", "--seed=3")
    process.wait_until_ready()
    scrape = process.scrape()
    for partner, source in product(("contoso", "fabrikam"), ("usage", "deployment")):
        assert scrape.value("partnercenter_up", partner=partner, source=source) == 1
        assert scrape.value("partnercenter_source_info", partner=partner, source=source, api="insights") == 1
    processed = set(scrape.select("partnercenter_license_usage_processed_timestamp_seconds").values())
    assert {datetime.fromtimestamp(at, UTC).day for at in processed} == {1}
    assert 0.8 in scrape.select("partnercenter_license_usage_target_ratio", workload="Exchange Online").values()
    assert "matches no series" not in process.ask("/").text


@pytest.mark.parametrize(
    "proxies",
    [
        {"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "intranet.example"},
        *cases(in_ci=[{"https_proxy": "http://127.0.0.1:1"}, {"ALL_PROXY": "socks5://127.0.0.1:1"}]),
    ],
    ids=" ".join,
)
def test_demo_needs_no_proxy(demo: Demo, proxies: dict[str, str]) -> None:
    process = demo(**proxies)
    process.wait_until_ready()
    assert process.scrape().value("partnercenter_up", partner="contoso", source="usage") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_demo_that_is_stopped_at_once_leaves_nothing_behind(demo: Demo, tmp_path: Path, number: signal.Signals) -> None:
    process = demo()
    until(lambda: list(tmp_path.iterdir()))
    assert process.stop(number) == 0
    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in process.stderr


# Runs the program, and sends itself SIGTERM at the n-th event of this kind in this function of `tempfile`.
INTERRUPTING = """
import os, signal, sys, tempfile
from exporter.cli import main

def watch(frame, event, _argument):
    global left
    if (event, frame.f_code.co_name) == wanted and frame.f_code.co_filename == tempfile.__file__:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGTERM)

wanted, left = (sys.argv[1], sys.argv[2]), int(sys.argv[3])
sys.setprofile(watch)
sys.exit(main(sys.argv[4:]))
"""


@pytest.mark.parametrize(
    ("event", "function", "count"),
    [("return", "mkdtemp", 1), ("return", "NamedTemporaryFile", 1), ("call", "close", 1), ("call", "close", 2)],
)
def test_demo_that_is_stopped_while_it_creates_files_leaves_nothing_behind(
    tmp_path: Path, event: str, function: str, count: int
) -> None:
    demo = ("demo", "--web.listen-address=127.0.0.1:0")
    ended = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-c", INTERRUPTING, event, function, str(count), *demo],
        env=environment({**NO_AUTHORITIES, "TMPDIR": str(tmp_path)}),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_simulated_time_passes_faster_with_speed(demo: Demo) -> None:
    # One month per second.
    process = demo("--speed=2592000")
    *_, simulator, _second = addresses(process)
    process.wait_until_ready()
    shown = Exposition(process.ask().text).select(RATIO, partner="contoso")

    def percents() -> dict[frozenset[tuple[str, str]], float]:
        document: dict[str, Any] = json.loads(simulated(simulator, "dataset").text)
        return {
            frozenset({"partner": "contoso", **{n: f[n] for n in ("workload", "service", "channel")}}.items()): (
                f["percent"] / 100
            )
            for f in document["usage"]
        }

    assert set(percents()) == set(shown)
    until(lambda: all(abs(value - shown[series]) > 1e-6 for series, value in percents().items()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_simulate_writes_a_configuration_that_check_accepts(
    run_here: Run, tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "new" / "folder"
    with Process("simulate", "--web.listen-address=127.0.0.1:0", f"--output={folder}", env=NO_AUTHORITIES) as process:
        [address] = addresses(process)
        assert f"configuration: {folder / 'config.yaml'}\n" in process.stdout
        checked = run_here("check", f"--config.file={folder / 'config.yaml'}")
        assert checked.status == 0, checked.stdout
        assert "usage (commercial API): 960 rows" in checked.stdout
        assert simulated(address, "").status_code == 200
        assert process.stop(number) == 0
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir() if path.is_file()} == {
        "config.yaml": 0o644,
        "ca.pem": 0o644,
        "client-secret": 0o600,
        "refresh-token": 0o600,
    }


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every installed package but those of the extra, in place of the interpreter's own."""
    folder = tmp_path_factory.mktemp("packages")
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if package.name not in ("trustme", "jwt"):
            (folder / package.name).symlink_to(package)
    for package_name in ("exporter", "partnercenter_simulator"):
        with contextlib.suppress(FileExistsError):
            (folder / package_name).symlink_to(Path(__file__).parents[2] / package_name)
    return folder


def run_without_site(packages: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program in an interpreter that has these packages only."""
    return subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-S", "-m", "exporter", *arguments],
        env=environment({"PYTHONPATH": str(packages)}),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("command", ["demo", "simulate"])
def test_a_simulator_that_is_not_installed_is_named_with_how_to_install_it(without: Path, command: str) -> None:
    ended = run_without_site(without, command, "--web.listen-address=127.0.0.1:0")
    assert (ended.returncode, ended.stdout) == (1, "")
    reason, fix = ended.stderr.splitlines()
    assert reason.startswith("partnercenter-exporter: the simulator is not installed: No module named ")
    assert fix == "  fix: add [simulator] to what was installed: '.[simulator]' in a checkout, or 'FILE.whl[simulator]'"


def test_without_the_simulator_the_other_commands_work(without: Path, tmp_path: Path) -> None:
    assert run_without_site(without, "demo", "--help").returncode == 0
    ended = run_without_site(without, "check", f"--config.file={tmp_path / 'none.yaml'}")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "No such file or directory" in ended.stderr
