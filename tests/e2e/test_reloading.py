"""Reloading the configuration: by signal, over HTTP, and with an invalid file."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from partnercenter_simulator import Simulator
from tests.e2e.conftest import Process, Serving, start
from tests.support.config import write_config
from tests.support.process import until

TARGET = "partnercenter_license_usage_target_ratio"
SUCCESSFUL = "partnercenter_config_last_reload_successful"


class Reloadable:
    """An exporter that may be reloaded over HTTP, and its file."""

    def __init__(self, process: Process, simulator: Simulator, file: Path) -> None:
        self.process = process
        self.simulator = simulator
        self.file = file
        self.good = file.read_text()

    def write(self, **top: Any) -> None:
        """Write the valid configuration with other top-level keys."""
        self.file.write_text(yaml.safe_dump({**yaml.safe_load(self.good), **top}))

    def shown(self) -> set[float]:
        """Return the targets that a scrape shows."""
        return set(self.process.scrape().select(TARGET).values())


@pytest.fixture(scope="module")
def lifecycle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reloadable]:
    """One exporter for all tests of this module."""
    with Simulator(seed=7) as simulator:
        file = write_config(tmp_path_factory.mktemp("reloading"), simulator)
        with start(file, "--web.enable-lifecycle") as process:
            process.wait_until_ready()
            yield Reloadable(process, simulator, file)


@pytest.fixture
def reloadable(lifecycle: Reloadable) -> Iterator[Reloadable]:
    """That exporter with its valid configuration, restored afterwards."""
    yield lifecycle
    lifecycle.file.write_text(lifecycle.good)
    assert lifecycle.process.ask("/-/reload", method="POST").status_code == 200


def test_reloading_over_http_is_off_by_default(serving: Serving) -> None:
    for method in ("POST", "PUT"):
        reply = serving.process.ask("/-/reload", method=method)
        assert reply.status_code == 403
        assert "--web.enable-lifecycle" in reply.text
    assert "configuration reloaded" not in serving.process.stderr


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_reloading_over_http_applies_a_changed_file_before_the_answer(reloadable: Reloadable, method: str) -> None:
    asked = reloadable.simulator.requests.count()
    reloadable.write(targets=[{"ratio": 0.25}])
    reply = reloadable.process.ask("/-/reload", method=method)
    assert (reply.status_code, reply.text) == (200, "reloaded\n")
    assert reloadable.shown() == {0.25}
    assert reloadable.simulator.requests.count() == asked


def test_sighup_applies_a_changed_file(reloadable: Reloadable) -> None:
    reloaded = reloadable.process.stderr.count("configuration reloaded")
    reloadable.write(targets=[{"ratio": 0.75}])
    reloadable.process.send(signal.SIGHUP)
    until(lambda: reloadable.shown() == {0.75})
    reloadable.process.wait_for_log("configuration reloaded", reloaded + 1)


def test_a_bad_file_changes_nothing_and_shows_in_answer_metric_and_log(reloadable: Reloadable) -> None:
    before = reloadable.process.scrape()
    reloadable.write(targets=[{"ratio": 2}], pol={})
    reply = reloadable.process.ask("/-/reload", method="POST")
    assert reply.status_code == 500
    assert "pol: unknown key: did you mean poll?" in reply.text
    assert "targets[0].ratio" in reply.text
    after = reloadable.process.scrape()
    assert after.data == before.data != {}
    assert after.value(SUCCESSFUL) == 0
    name = "partnercenter_config_last_reload_success_timestamp_seconds"
    assert after.value(name) == before.value(name)
    reloadable.process.wait_for_log("configuration not reloaded")
    reloadable.file.write_text(reloadable.good)
    assert reloadable.process.ask("/-/reload", method="POST").status_code == 200
    assert reloadable.process.scrape().value(SUCCESSFUL) == 1


def test_a_bad_file_at_sighup_changes_nothing_and_shows(reloadable: Reloadable) -> None:
    before = reloadable.process.scrape()
    reloadable.file.unlink()
    reloadable.process.send(signal.SIGHUP)
    until(lambda: reloadable.process.scrape().value(SUCCESSFUL) == 0)
    assert reloadable.process.scrape().data == before.data
    assert reloadable.process.ask("/-/healthy").status_code == 200
    reloadable.process.wait_for_log("No such file or directory")


@pytest.mark.parametrize("by", ["POST", "SIGHUP"])
def test_a_file_that_can_not_be_used_changes_nothing_and_shows(reloadable: Reloadable, by: str) -> None:
    before = reloadable.process.scrape()
    partner = yaml.safe_load(reloadable.good)["partners"][0]
    reloadable.write(
        partners=[
            partner | {"client_secret_expires": "2027-05-01"},
            partner | {"name": "b", "refresh_token_file": "x" * 300},
        ]
    )
    words = "partners[1].refresh_token_file: can&#39;t read"
    if by == "POST":
        reply = reloadable.process.ask("/-/reload", method="POST")
        assert reply.status_code == 500
        assert words.replace("&#39;", "'") in reply.text
        assert "Traceback" not in reply.text
    else:
        reloadable.process.send(signal.SIGHUP)
    until(lambda: reloadable.process.scrape().value(SUCCESSFUL) == 0)
    assert words in reloadable.process.ask("/").text
    assert reloadable.process.scrape().data == before.data
    assert reloadable.process.ask("/-/healthy").status_code == 200


def test_a_target_that_matches_nothing_is_named_on_the_page(reloadable: Reloadable) -> None:
    assert "matches no series" not in reloadable.process.ask("/").text
    reloadable.write(targets=[{"ratio": 0.5}, {"ratio": 0.7, "workload": "Exchnage"}])
    reloadable.process.ask("/-/reload", method="POST")
    page = reloadable.process.ask("/").text
    assert "target 0.7 for workload=&#39;Exchnage&#39; matches no series: check its spelling" in page


def test_many_reloads_at_once_end_with_the_file_s_content(reloadable: Reloadable) -> None:
    for ratio in range(1, 10):
        reloadable.write(targets=[{"ratio": ratio / 10}])
        reloadable.process.send(signal.SIGHUP)
    until(lambda: reloadable.shown() == {0.9})
    assert reloadable.process.scrape().value(SUCCESSFUL) == 1
