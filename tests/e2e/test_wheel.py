"""The wheel and the source archive: complete, current, and good without the checkout."""

import json
import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from exporter.build_info import of_checkout
from exporter.commands.shipped import shipped_files
from tests.support.process import PATIENCE_SECONDS, environment
from tests.support.rules import REPOSITORY

_TARGET = re.compile(r"\]\(([^)]*)\)")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, the wheel built from the source archive as for a release."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3 * PATIENCE_SECONDS)  # noqa: S603  our own
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


@pytest.fixture(scope="module")
def installed(built: Path) -> Path:
    """The wheel's content, in a folder of its own."""
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(built / "installed")  # noqa: S202  our own archive
    return built / "installed"


def run_installed(installed: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the program of the wheel; it finds its own package before that of the checkout."""
    env = environment({"PYTHONPATH": str(installed)})
    command = [sys.executable, "-m", "exporter", *arguments]
    return subprocess.run(  # noqa: S603  our own program
        command, capture_output=True, text=True, env=env, cwd=cwd, check=False, timeout=PATIENCE_SECONDS
    )


def metadata(installed: Path) -> Message:
    [file] = installed.glob("*.dist-info/METADATA")
    return message_from_bytes(file.read_bytes())


def test_the_wheel_writes_the_files_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    ended = run_installed(installed, "example-config", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, (REPOSITORY / "config.example.yaml").read_text())
    ended = run_installed(installed, "assets", "--output=here", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    written = {path.relative_to(tmp_path / "here") for path in (tmp_path / "here").rglob("*") if path.is_file()}
    assert written == {Path(name) for name in shipped_files()}
    for name in written:
        assert (tmp_path / "here" / name).read_bytes() == (REPOSITORY / name).read_bytes()


def test_the_wheel_knows_the_revision_that_it_was_built_from(installed: Path, tmp_path: Path) -> None:
    source = of_checkout(REPOSITORY)
    assert json.loads((installed / "exporter/build_info.json").read_bytes()) == source._asdict()
    printed = run_installed(installed, "--version", cwd=tmp_path).stdout
    assert f"(revision: {source.revision})" in printed
    assert f"branch: {source.branch}" in printed


def test_the_long_description_needs_no_file_beside_it(installed: Path) -> None:
    found = metadata(installed)
    assert found["Description-Content-Type"] == "text/markdown"
    text = found.get_payload()
    assert isinstance(text, str)
    targets = _TARGET.findall(text)
    assert targets
    assert [target for target in targets if not target.startswith("https://")] == []
    assert "partnercenter-exporter assets" in text
    assert ":\n\n#" not in text  # a colon before a picture that is gone


def test_the_source_archive_has_what_the_wheel_is_built_from(built: Path) -> None:
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"exporter/build_info.json", "hatch_build.py", "Dockerfile", "README.md"} <= names
    assert {str(name) for name in shipped_files()} <= names
