"""What a release needs: one version, one address, workflows that may do no more than they must."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import __version__
from tests.support.rules import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
FORK = "https://forge.example/fork/partnercenter"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with what is not committed yet."""
    copy = tmp_path_factory.mktemp("repository")
    listed = git(REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, copy / name)
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message=All"]):
        git(copy, *command)
    return copy


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Path:
    """A clone of it."""
    git(repository, "clone", "--quiet", ".", str(tmp_path / "clone"))
    return tmp_path / "clone"


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603


def run(checkout: Path, script: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [str(checkout / ".ci" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", **env})  # noqa: S603


def files_with(checkout: Path, text: str) -> set[str]:
    return {name for name in git(checkout, "ls-files").split() if text in (checkout / name).read_text(errors="replace")}


def test_a_fork_s_address_is_set_everywhere_in_one_step(checkout: Path) -> None:
    found = re.search(r'^Repository = "(.*)"$', (checkout / "pyproject.toml").read_text(), re.MULTILINE)
    assert found
    before = files_with(checkout, found[1])
    assert {"pyproject.toml", "prometheus/rules/usage.yaml", "mixin/mixin.libsonnet"} < before
    done = run(checkout, "configure-repository", f"{FORK}.git/")
    assert done.returncode == 0, done.stderr
    assert not files_with(checkout, found[1])
    assert files_with(checkout, FORK) == before | {Path(__file__).relative_to(REPOSITORY).as_posix()}
    again = run(checkout, "configure-repository", FORK)
    assert (again.returncode, again.stdout) == (0, f"the repository's address is {FORK} already\n")


@pytest.mark.parametrize(
    "url", ["", "forge.example/fork", "http://forge.example/a/b", "https://forge.example", "https://a b/c"]
)
def test_what_is_no_address_changes_nothing(checkout: Path, url: str) -> None:
    done = run(checkout, "configure-repository", url)
    assert (done.returncode, done.stdout) == (2, "")
    assert "such as URL=https://forge.example/owner/name" in done.stderr


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("v9.9.9", f"the tag is v9.9.9, but exporter/__init__.py says {__version__}"),
        (__version__, f"the tag is {__version__}, but exporter/__init__.py says {__version__}"),
        (f"v{__version__}", f"CHANGELOG.md has no section '## [{__version__}] - DATE'"),
    ],
)
def test_a_tag_that_does_not_fit_is_refused_before_anything_is_built(checkout: Path, tag: str, message: str) -> None:
    refused = run(checkout, "release-check", TAG=tag)
    assert refused.returncode == 1
    assert message in refused.stderr


def test_a_release_without_news_is_refused(checkout: Path) -> None:
    changelog = checkout / "CHANGELOG.md"
    changelog.write_text("# Changelog\n\n## [Unreleased]\n\n### Added\n")
    refused = run(checkout, "release-check")
    assert (refused.returncode, "the changelog's section says nothing" in refused.stderr) == (1, True)


def test_the_version_is_in_one_place() -> None:
    written = re.compile(rf"^\s*(?:version|__version__)\s*=\s*[\"']{re.escape(__version__)}[\"']", re.MULTILINE)
    files = [REPOSITORY / "pyproject.toml", *(REPOSITORY / "exporter").rglob("*.py")]
    assert [file.name for file in files if written.search(file.read_text())] == ["__init__.py"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_workflows_pin_what_they_use_and_may_do_nothing_by_default(file: Path) -> None:
    workflow: dict[str, Any] = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", step.get("uses", "a/b@" + "0" * 40))
            assert "${{" not in step.get("run", "")
