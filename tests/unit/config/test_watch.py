"""What counts as a change of the configuration: contents, of all that a reload reads."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config.watch import WatchedConfig
from exporter.errors import ConfigurationError
from partnercenter_simulator import Simulator
from tests.support.config import write_config

NAMED = ("client-secret", "refresh-token", "ca.pem")


@pytest.fixture
def file(simulator: Simulator, tmp_path: Path) -> Path:
    return write_config(tmp_path, simulator)


def rewritten(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n# more\n")


def replaced_by_one_of_the_same_size_and_time(path: Path) -> None:
    before, content = path.stat(), path.read_bytes()
    path.with_name("new").write_bytes(content[:-2] + b"xx")
    path.with_name("new").rename(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def made_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [rewritten, replaced_by_one_of_the_same_size_and_time, Path.unlink, made_a_pipe])
@pytest.mark.parametrize("name", ["config.yaml", *NAMED])
def test_a_change_of_the_configuration_or_a_file_that_it_names_is_one(
    file: Path, name: str, change: Callable[[Path], None]
) -> None:
    watched = WatchedConfig(file)
    change(file.with_name(name))
    changed = watched.checksum()
    assert changed != watched.seen
    assert watched.checksum() == changed


@pytest.mark.parametrize("name", ["config.yaml", *NAMED])
def test_a_file_that_is_only_touched_or_copied_has_not_changed(file: Path, name: str) -> None:
    watched = WatchedConfig(file)
    path = file.with_name(name)
    path.touch()
    path.with_name("copy").write_bytes(path.read_bytes())
    path.with_name("copy").rename(path)
    path.chmod(0o640)
    assert watched.checksum() == watched.seen


def test_reading_it_makes_the_change_known(file: Path) -> None:
    watched = WatchedConfig(file)
    rewritten(file)
    assert len(watched.read().partners) == 1
    assert watched.checksum() == watched.seen


def test_a_configuration_that_is_refused_is_known_too_and_the_files_that_it_names_are_watched(file: Path) -> None:
    watched = WatchedConfig(file)
    file.write_text(file.read_text().replace("client_secret_file: client-secret", "client_secret_file: later"))
    with pytest.raises(ConfigurationError, match="later"):
        watched.read()
    assert watched.checksum() == watched.seen
    file.with_name("later").write_text("secret")
    assert watched.checksum() != watched.seen


def test_a_federated_token_changes_only_by_coming_and_going(file: Path) -> None:
    file.write_text(file.read_text().replace("client_secret_file: client-secret", "federated_token_file: token"))
    token = file.with_name("token")
    token.write_text("first")
    watched = WatchedConfig(file)
    token.write_text("second")
    assert watched.checksum() == watched.seen
    token.unlink()
    assert watched.checksum() != watched.seen


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xfe\x00", b"a: [", b"- client_secret_file\n", b"x_file: 1\nx_file: 2\n", b"a: &a [*a]\n",
        b'x_file: "\\0"\n', b"x_file: " + b"x" * 5_000, b"x_file: ${NOT_SET}/secret\n", b"x_file: {y_file: [1]}\n",
        "x_file: \N{SNOWMAN}\n".encode(), b'x_file: "\\ud800"\n', b"[" * 500,
    ],
)  # fmt: skip
def test_any_content_has_a_checksum(file: Path, content: bytes) -> None:
    watched = WatchedConfig(file)
    file.write_bytes(content)
    changed = watched.checksum()
    assert changed != watched.seen
    assert watched.checksum() == changed


@pytest.mark.parametrize("name", ["..data", "config.yaml"])
def test_a_link_that_is_exchanged_is_a_change(tmp_path: Path, simulator: Simulator, name: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "new").mkdir()
    written = write_config(tmp_path / "real", simulator)
    (tmp_path / "new" / "config.yaml").write_bytes(written.read_bytes() + b"\n# new\n")
    link = tmp_path / name
    link.symlink_to("real" if name == "..data" else "real/config.yaml")
    file = link / "config.yaml" if name == "..data" else link
    watched = WatchedConfig(file)
    (tmp_path / "next").symlink_to("new" if name == "..data" else "new/config.yaml")
    (tmp_path / "next").rename(link)
    assert watched.checksum() != watched.seen
