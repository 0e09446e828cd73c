"""What is known of the source that this program was built from."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.build_info import Source, branch, of_checkout, revision
from tests.support.rules import REPOSITORY

NAME = '[project]\nname = "partnercenter-exporter"\n'
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603  git


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of this project with one commit."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=release/1")
    (folder / "pyproject.toml").write_text(NAME)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=x")
    return folder


def test_a_checkout_says_what_git_says(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    assert of_checkout(checkout) == (head, "release/1")
    git(checkout, "pack-refs", "--all")
    assert not (checkout / ".git/refs/heads/release/1").exists()
    assert of_checkout(checkout) == (head, "release/1")
    git(checkout, "worktree", "add", "--quiet", "-b", "other", str(checkout.parent / "worktree"))
    assert of_checkout(checkout.parent / "worktree") == (head, "other")
    git(checkout, "checkout", "--quiet", "--detach")
    assert of_checkout(checkout) == (head, "HEAD")


@pytest.mark.parametrize(
    "damage",
    [
        lambda it: (it / "pyproject.toml").write_text('[project]\nname = "another"\n'),
        lambda it: (it / "pyproject.toml").unlink(),
        lambda it: (it / ".git/HEAD").write_text("ref: refs/heads/.invalid\n"),
        lambda it: (it / ".git/HEAD").write_text("ref: ../../secret\n"),
        lambda it: (it / ".git/HEAD").write_text("ref: /etc/passwd\n"),
        lambda it: (it / ".git/HEAD").write_bytes(b"\xff\xfe"),
        lambda it: (it / ".git/HEAD").write_text(""),
        lambda it: (it / ".git/HEAD").unlink(),
        lambda it: (it / ".git/refs/heads/release/1").write_text("\x1b[2J\n"),
    ],
)
def test_what_is_no_checkout_of_this_project_is_unknown(checkout: Path, damage: Callable[[Path], object]) -> None:
    damage(checkout)
    assert of_checkout(checkout).revision == Source().revision == "unknown"


def test_a_folder_without_git_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(NAME)
    assert of_checkout(tmp_path) == ("unknown", "unknown")


def test_the_image_says_it_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REVISION", "BRANCH"):
        monkeypatch.delenv(f"PARTNERCENTER_EXPORTER_{name}", raising=False)
    here = of_checkout(REPOSITORY)
    assert (revision(), branch()) == here
    monkeypatch.setenv("PARTNERCENTER_EXPORTER_REVISION", COMMIT)
    monkeypatch.setenv("PARTNERCENTER_EXPORTER_BRANCH", "unknown")
    assert (revision(), branch()) == (COMMIT, here.branch)
