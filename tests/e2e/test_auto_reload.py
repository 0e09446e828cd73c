"""--config.enable-auto-reload: changes are taken up by themselves, beside SIGHUP and POST /-/reload."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from partnercenter_simulator import Simulator
from tests.e2e.conftest import Process, start
from tests.support.config import write_config
from tests.support.process import until

TARGET = "partnercenter_license_usage_target_ratio"
SUCCESSFUL = "partnercenter_config_last_reload_successful"
OFTEN = ("--config.enable-auto-reload", "--config.auto-reload-interval=1s")


class Mounted:
    """A folder as Kubernetes mounts a ConfigMap: the files are links into ..data, which is a link that is exchanged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0

    def publish(self, files: dict[str, bytes]) -> None:
        """Exchange all files at once, and remove the old ones, as the kubelet does."""
        old, self.number = self.folder / f"..{self.number}", self.number + 1
        new = self.folder / f"..{self.number}"
        new.mkdir(parents=True)
        for name, content in files.items():
            (new / name).write_bytes(content)
        (self.folder / "..data_tmp").symlink_to(new.name)
        (self.folder / "..data_tmp").rename(self.folder / "..data")
        for name in files:
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        shutil.rmtree(old, ignore_errors=True)


class Watched:
    """An exporter that looks every second, its file, and how often it reloaded."""

    def __init__(self, process: Process, file: Path) -> None:
        self.process, self.file = process, file
        self.good = file.read_text()

    def with_target(self, ratio: float) -> str:
        """Return the good configuration with this target."""
        return yaml.safe_dump({**yaml.safe_load(self.good), "targets": [{"ratio": ratio}]})

    def shown(self) -> set[float]:
        """Return the targets that a scrape shows."""
        return set(self.process.scrape().select(TARGET).values())

    def wait_for_target(self, ratio: float) -> None:
        """Wait until a scrape shows this target."""
        until(lambda: self.shown() == {ratio})

    def wait_for_success(self, successful: int) -> None:
        """Wait until the last reload succeeded, or failed."""
        until(lambda: self.process.scrape().value(SUCCESSFUL) == successful)


@pytest.fixture
def watched(simulator: Simulator, tmp_path: Path) -> Iterator[Watched]:
    file = write_config(tmp_path, simulator, targets=[{"ratio": 0.5}])
    with start(file, *OFTEN, "--web.enable-lifecycle") as process:
        process.wait_until_ready()
        yield Watched(process, file)


def test_a_changed_file_is_taken_up_by_itself(watched: Watched) -> None:
    watched.file.write_text(watched.with_target(0.25))
    watched.wait_for_target(0.25)
    watched.file.with_name("new").write_text(watched.with_target(0.75))
    watched.file.with_name("new").rename(watched.file)
    watched.wait_for_target(0.75)
    watched.process.expect_logged("configuration reloaded", 2)


def test_a_bad_file_is_logged_once_and_a_good_one_taken_up(watched: Watched) -> None:
    for number, content in enumerate(("pol: {}\n", "", "partners: [", "\0"), start=1):
        watched.file.write_text(content)
        watched.process.wait_for_log("configuration not reloaded", number)
    assert watched.shown() == {0.5}
    watched.wait_for_success(0)
    watched.file.write_text(watched.with_target(0.25))
    watched.wait_for_success(1)
    assert watched.shown() == {0.25}
    watched.process.expect_logged("configuration not reloaded", 4)


def test_a_file_that_is_gone_is_logged_once_and_taken_up_when_it_is_back(watched: Watched) -> None:
    watched.file.rename(watched.file.with_name("away"))
    watched.wait_for_success(0)
    assert watched.process.ask("/-/healthy").status_code == 200
    watched.file.with_name("away").rename(watched.file)
    watched.wait_for_success(1)
    watched.process.expect_logged("configuration not reloaded", 1)


def test_a_secret_that_comes_later_than_the_configuration_that_names_it_completes_the_reload(watched: Watched) -> None:
    secret = watched.file.with_name("later")
    content = yaml.safe_load(watched.with_target(0.25))
    content["partners"][0]["client_secret_file"] = secret.name
    watched.file.write_text(yaml.safe_dump(content))
    watched.wait_for_success(0)
    assert watched.shown() == {0.5}
    shutil.copy(watched.file.with_name("client-secret"), secret)
    watched.wait_for_success(1)
    assert watched.shown() == {0.25}
    watched.process.expect_logged("configuration not reloaded", 1)


@pytest.mark.parametrize("by", ["POST", "SIGHUP"])
def test_a_reload_on_request_works_beside_it(watched: Watched, by: str) -> None:
    watched.file.write_text(watched.with_target(0.25))
    if by == "POST":
        assert watched.process.ask("/-/reload", method="POST").status_code == 200
    else:
        watched.process.send(signal.SIGHUP)
    watched.wait_for_target(0.25)
    watched.file.write_text(watched.with_target(0.75))
    watched.wait_for_target(0.75)
    assert watched.process.stop() == 0


def test_a_config_map_that_is_exchanged_is_taken_up(simulator: Simulator, tmp_path: Path) -> None:
    written = write_config(tmp_path / "written", simulator, targets=[{"ratio": 0.5}])
    files = {path.name: path.read_bytes() for path in written.parent.iterdir() if path.is_file()}
    mounted = Mounted(tmp_path / "mounted")
    mounted.publish(files)
    with start(mounted.folder / "config.yaml", *OFTEN) as process:
        process.wait_until_ready()
        watched = Watched(process, mounted.folder / "config.yaml")
        for ratio in (0.25, 0.75):
            mounted.publish(files | {"config.yaml": watched.with_target(ratio).encode()})
            watched.wait_for_target(ratio)
        watched.process.expect_logged("configuration reloaded", 2)
        watched.process.expect_logged("configuration not reloaded", 0)
        assert process.stop() == 0


@pytest.mark.parametrize("flags", [(), (*OFTEN, "--no-config.enable-auto-reload")], ids=["default", "switched off"])
def test_without_the_flag_no_change_is_noticed(simulator: Simulator, tmp_path: Path, flags: tuple[str, ...]) -> None:
    file = write_config(tmp_path, simulator)
    with start(file, *flags) as process:
        process.wait_until_ready()
        file.write_text("pol: {}")
        process.send(signal.SIGHUP)
        process.wait_for_log("configuration not reloaded")
        assert process.stop() == 0
    assert process.stderr.count("configuration not reloaded") == 1
