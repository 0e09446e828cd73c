"""Whose the state directory is: which user must run this program, and what to do about what belongs to another one."""

import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from exporter import PROGRAM
from exporter.container import in_container, in_kubernetes
from exporter.messages import Line, line
from exporter.private_files import Distrusted, account, belongs_to_another, chown, shell_line, user_name

_ROOT = 0
# Where sudo looks for programs, whatever the PATH of who calls it (secure_path).
_SUDO_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class WrongUserError(Distrusted):
    """The state directory is another user's, who must run this program: what this one left there, that one can't use.

    `uid` is that user.
    """

    def __init__(self, path: Path, uid: int) -> None:
        name = user_name(uid)
        super().__init__(
            path, line("it belongs to {}; run this as {}", name, name), remedy=line("run this as {}", name)
        )
        self.uid = uid


def command_as(uid: int, arguments: Sequence[str]) -> Line:
    """Return the command line that runs this program as another user, ready for a shell; in a container, the flag."""
    if in_kubernetes():
        return line("set securityContext.runAsUser: {} for the pod", uid)
    if in_container():
        return line("give docker or podman, run and exec alike, the flag --user {}", uid)
    return shell_line("sudo", "-u", account(uid), _program(), *arguments)


def check_user(directory: Path, folders: Iterable[str]) -> None:
    """Raise WrongUserError where another user must run this program; look only.

    A directory of root may serve another user through its group, as volumes do in Kubernetes: then the folders in it
    say whose they are. Where there is no directory yet, root makes none in what belongs to another user.
    """
    me = os.geteuid()
    if _is_link_of_a_stranger(directory):
        return
    place, status, hidden = _nearest(directory)
    if status is None:
        return
    in_use = place == directory or hidden
    if status.st_uid not in (_ROOT, me) and (in_use or me == _ROOT):
        raise WrongUserError(place, status.st_uid)
    if place == directory and me == _ROOT:
        for folder, status in _found(directory / name for name in folders):
            if status.st_uid != _ROOT:
                raise WrongUserError(folder, status.st_uid)


def check_owners(directory: Path, folders: Iterable[str]) -> None:
    """Raise Distrusted for the first file or folder that is not this user's, as an older version left some of root."""
    me = os.geteuid()
    for folder, status in _found(directory / name for name in folders):
        if status.st_uid != me and not _serves(folder, status):
            raise _foreign(folder, status.st_uid, directory)
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                uid = entry.stat(follow_symlinks=False).st_uid
                if uid != me and not entry.name.endswith(".tmp"):
                    raise _foreign(folder / entry.name, uid, directory)


def way_in(directory: Path, path: Path) -> Line:
    """Return what keeps this user out of a file of the state directory, with what to do; nothing if it isn't known."""
    me = os.geteuid()
    nearest, status, _ = _nearest(directory)
    if nearest != directory:
        return shell_line("sudo", "install", "-d", "-m", "0700", "-o", account(me).removeprefix("#"), directory)
    for place in dict.fromkeys((directory, path.parent, path.with_name(".lock"), path)):
        try:
            status = place.stat() if place == directory else place.lstat()
        except OSError:
            continue
        if status.st_uid != me and not _serves(place, status):
            return line("{} belongs to {}: {}", place, user_name(status.st_uid), chown("-R", directory))
        wanted = stat.S_IRWXU if stat.S_ISDIR(status.st_mode) else stat.S_IRUSR | stat.S_IWUSR
        if status.st_uid == me and status.st_mode & wanted != wanted:
            return shell_line("chmod", "u+rwX", place)
    return line("")


def hand_over(directory: Path) -> Line:
    """Return the command with which root gives another user a directory that it has made."""
    return shell_line("chown", "-R", "USER:", directory)


def _foreign(path: Path, uid: int, directory: Path) -> Distrusted:
    error = belongs_to_another(path, uid)
    return error if uid != _ROOT else Distrusted(path, error.why, remedy=chown("-R", directory))


def _is_link_of_a_stranger(directory: Path) -> bool:
    """Whoever opens it refuses it; what it leads to says nothing."""
    with suppress(OSError):
        status = directory.lstat()
        return stat.S_ISLNK(status.st_mode) and status.st_uid not in (_ROOT, os.geteuid())
    return False


def _nearest(directory: Path) -> tuple[Path, os.stat_result | None, bool]:
    """Return the directory or the nearest of its parents that can be looked at, and whether the rest is hidden."""
    hidden = False
    for place in (directory, *directory.parents):
        try:
            return place, place.stat(), hidden
        except PermissionError:
            hidden = True
        except FileNotFoundError:
            continue
        except OSError:
            break
    return directory, None, hidden


def _found(paths: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    for path in paths:
        with suppress(OSError):
            yield path, path.lstat()


def _serves(path: Path, status: os.stat_result) -> bool:
    """Return whether a directory of root may be used all the same, by its group."""
    may_write = os.access(path, os.W_OK | os.X_OK, effective_ids=True)
    return status.st_uid == _ROOT and stat.S_ISDIR(status.st_mode) and may_write


def _program() -> str:
    """Return how to call this program from anywhere: sudo doesn't look where an environment was activated."""
    if shutil.which(PROGRAM, path=_SUDO_PATH):
        return PROGRAM
    script = Path(sys.executable).with_name(PROGRAM)
    return str(script) if script.exists() else PROGRAM
