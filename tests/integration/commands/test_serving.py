"""`run`, `demo` and `simulate`: they serve until SIGTERM, and end well."""

import ssl
import tempfile
from pathlib import Path

import httpx
import pytest
import yaml

from exporter.arguments import Demo, ExitStatus, Run, Simulate
from exporter.commands import demo, run, simulate
from partnercenter_simulator import Simulator
from tests.integration.commands.conftest import visited
from tests.support.config import write_config
from tests.support.logs import LogStream
from tests.support.plain_http import NO_TLS
from tests.support.process import PATIENCE_SECONDS, until

ANY_PORT = ("127.0.0.1:0",)
UP = '\npartnercenter_up{partner="contoso",source="usage"} 1.0\n'


def polled(log: LogStream) -> str:
    """Wait until the exporter has polled its usage; return its metrics."""
    [started] = until(lambda: log.of("exporter started"))
    url = f"http://{started['listening']}/metrics"
    return until(
        lambda: (
            page
            if UP in (page := httpx.get(url, trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS).text)
            else ""
        )
    )


def test_run_polls_and_serves_until_sigterm(simulator: Simulator, tmp_path: Path, log_stream: LogStream) -> None:
    file = write_config(tmp_path, simulator)
    with visited(lambda: polled(log_stream)) as page:
        assert run.run(Run(config_file=file, listen_addresses=ANY_PORT)) is ExitStatus.SUCCESS
    assert "partnercenter_license_usage_ratio{" in page.result()
    assert [entry["signal"] for entry in log_stream.of("stopping")] == ["SIGTERM"]
    assert len(log_stream.of("exporter stopped")) == 1
    assert [entry for entry in log_stream.entries if entry["level"] == "error"] == []


def test_demo_serves_simulated_data_until_sigterm_and_leaves_nothing_behind(
    tmp_path: Path, log_stream: LogStream, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with visited(lambda: polled(log_stream)) as page:
        assert demo.run(Demo(listen_addresses=ANY_PORT)) is ExitStatus.SUCCESS
    assert "partnercenter_licenses_active{" in page.result()  # only the commercial API has it
    [started] = log_stream.of("exporter started")
    assert f"  http://{started['listening']}/metrics   metrics for Prometheus\n" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_simulate_writes_a_configuration_and_serves_until_sigterm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / "config.yaml"

    def overview() -> str:
        [partner] = yaml.safe_load(until(lambda: file.exists() and file.read_text("utf-8")) or "")["partners"]
        trusting = ssl.create_default_context(cafile=file.with_name("ca.pem"))
        page = httpx.get(f"{partner['api_url']}/_simulator/", verify=trusting, timeout=PATIENCE_SECONDS)
        assert page.status_code == httpx.codes.OK
        return str(page.url)

    with visited(overview) as url:
        assert simulate.run(Simulate(listen_addresses=ANY_PORT, output=file.parent)) is ExitStatus.SUCCESS
    assert capsys.readouterr().out == (f"configuration: {file}\nsimulator: {url.result()}  (press Ctrl+C to stop)\n")
