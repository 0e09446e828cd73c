"""The revision and branch that this program was built from: those of its image, wheel or checkout."""

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

UNKNOWN = "unknown"
FILE = "build_info.json"
"""What the build writes into the package (hatch_build.py)."""

_PACKAGE = Path(__file__).parent
_THIS_PROJECT = '\nname = "partnercenter-exporter"\n'
_REVISION = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BRANCH = re.compile(r"[^\s\x00-\x1f\\:?*\[~^]{1,200}")


class Source(NamedTuple):
    """A revision, and its branch: HEAD for a build from a tag or commit."""

    revision: str = UNKNOWN
    branch: str = UNKNOWN


def revision() -> str:
    """Return the source revision."""
    return _given("REVISION") or _source().revision


def branch() -> str:
    """Return the branch."""
    return _given("BRANCH") or _source().branch


def of_checkout(root: Path) -> Source:
    """Return what git has checked out in a folder, if that is this project's: read as text, no program is run."""
    try:
        if _THIS_PROJECT not in (root / "pyproject.toml").read_text("utf-8"):
            return Source()
        folder = root / ".git"
        if folder.is_file():  # of a worktree
            folder = root / _line(folder).removeprefix("gitdir: ")
        head = _line(folder / "HEAD")
        ref = head.removeprefix("ref: ")
        return (
            _checked(head, "HEAD") if ref == head else _checked(_resolved(folder, ref), ref.removeprefix("refs/heads/"))
        )
    except (OSError, ValueError):
        return Source()


def _given(name: str) -> str:
    """Return what the container build recorded, if it knew it."""
    value = os.environ.get(f"PARTNERCENTER_EXPORTER_{name}", UNKNOWN)
    return "" if value == UNKNOWN else value


@cache
def _source() -> Source:
    try:
        built = json.loads((_PACKAGE / FILE).read_bytes())
        return _checked(str(built["revision"]), str(built["branch"]))
    except (OSError, ValueError, LookupError, TypeError):
        return of_checkout(_PACKAGE.parent)


def _resolved(folder: Path, ref: str) -> str:
    """Return the commit of a branch. Raises OSError, ValueError."""
    if ".." in ref or ref.startswith("/"):
        return UNKNOWN
    common = folder / _line(folder / "commondir") if (folder / "commondir").is_file() else folder
    if (common / ref).is_file():
        return _line(common / ref)
    packed = (common / "packed-refs").read_text("utf-8").splitlines()
    return next((line.split()[0] for line in packed if line.endswith(f" {ref}")), UNKNOWN)


def _line(file: Path) -> str:
    """Return the content of a file of one line; raises OSError, ValueError. A pipe would be waited for."""
    if not file.is_file():
        raise FileNotFoundError(file)
    return file.read_text("utf-8").strip()


def _checked(revision: str, branch: str) -> Source:
    return Source(
        revision if _REVISION.fullmatch(revision) else UNKNOWN, branch if _BRANCH.fullmatch(branch) else UNKNOWN
    )
