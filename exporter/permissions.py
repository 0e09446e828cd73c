"""Who may read a file: why this program can't, and how to keep others out without keeping it out.

The commands of a remedy name numeric ids: in a container, users of the host have no names.
"""

import grp
import os
import pwd
import shlex
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from exporter.container import in_kubernetes, is_of_host, on_host
from exporter.errors import NOTHING
from exporter.local_text import local_text
from exporter.messages import Line, line

_OTHER_RULES = line(
    "its mode lets this user read it, so something else does not: look at its access control list (getfacl) and at "
    "SELinux or AppArmor (a container's volume needs :z or :Z with SELinux)"
)


@dataclass(frozen=True, slots=True)
class User:
    """The user that a program runs as, with all its groups."""

    uid: int
    gid: int
    groups: frozenset[int] = frozenset()

    @classmethod
    def current(cls) -> "User":
        """Return the user of this process."""
        return cls(os.geteuid(), os.getegid(), frozenset(os.getgroups()))

    def may_read(self, status: os.stat_result) -> bool:
        """Return whether the mode lets this user read, as far as modes decide: root may read everything."""
        return self.uid == 0 or self.mode_lets_read(status)

    def mode_lets_read(self, status: os.stat_result) -> bool:
        """Return whether the mode lets this user read, without the powers of root, which a container may take away."""
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IRUSR)
        if status.st_gid == self.gid or status.st_gid in self.groups:
            return bool(status.st_mode & stat.S_IRGRP)
        return bool(status.st_mode & stat.S_IROTH)

    def named(self) -> Line:
        """Return the user as `exporter (10058)`, or as a number where it has no name."""
        return _user(self.uid)


def why_denied(path: Path, user: User) -> tuple[Line, Line]:
    """Return who may read a file that this user was denied, and the command that lets it."""
    for folder in reversed(path.absolute().parents):
        if not os.access(folder, os.X_OK, effective_ids=True):
            return _why_folder(folder, user)
    try:
        status = path.stat()
    except OSError:
        return NOTHING, line("check the file and its permissions")
    described = _described(line("it"), status, user)
    if user.uid == 0 and not user.mode_lets_read(status):
        return described, _run_as(status)
    return described, _OTHER_RULES if user.may_read(status) else _owned(path, status, user)


def reason_of(path: Path, error: OSError) -> Line:
    """Return why a file can't be read, in one line: where it is denied, with its owner and the command that helps."""
    if not isinstance(error, PermissionError):
        return line("{}", error)
    why, remedy = why_denied(path, User.current())
    return line("{}; {}: {}", error, why, remedy) if why else line("{}: {}", error, remedy)


def narrowed(path: Path, status: os.stat_result, user: User) -> Line:
    """Return the command that hides a file, which every user can read, from all but the user of the exporter.

    Root is seldom that user, but may be checking for it.
    """
    if user.uid == 0:
        return _here(
            line("give it to the user that runs the exporter (chown), then run chmod 0600 {}", _word(path)), path
        )
    without_others = os.stat_result((status.st_mode & ~stat.S_IRWXO, *status[1:]))
    if status.st_uid != user.uid and user.may_read(without_others):
        return _here(line("run chmod o-rwx {} as its owner", _word(path)), path)
    return _owned(path, status, user)


def _why_folder(folder: Path, user: User) -> tuple[Line, Line]:
    try:
        status = folder.stat()
    except OSError:
        return NOTHING, line("check the file and its permissions")
    if user.uid == 0 and status.st_uid != 0:
        return _described(line("its directory {}", folder), status, user), _run_as(status)
    remedy = line("run as root: chgrp {} {} && chmod g+x {}", user.gid, _word(folder), _word(folder))
    described = _described(line("its directory {}", folder), status, user)
    return described, _here(line("{}; or move the file to a directory that this user can enter", remedy), folder)


def _described(what: Line, status: os.stat_result, user: User) -> Line:
    mode = local_text(f"{stat.S_IMODE(status.st_mode):04o}")
    owner, group = _user(status.st_uid), _group(status.st_gid)
    return line(
        "{} belongs to user {} and group {} with mode {}, and this program runs as user {}",
        what, owner, group, mode, user.named(),
    )  # fmt: skip


def _owned(path: Path, status: os.stat_result, user: User) -> Line:
    """Return the command that lets this user, and no other, read the file."""
    if in_kubernetes():
        return line(
            "set securityContext.fsGroup: {} for the pod, and defaultMode: 0440 for the volume of the secret", user.gid
        )
    file = _word(path)
    if status.st_uid == user.uid:
        return _here(line("run chmod 0600 {}", file), path)
    return _here(line("run as root: chown {} {} && chmod 0600 {}", user.uid, file, file), path)


def _here(remedy: Line, path: Path) -> Line:
    """Return the remedy, with where to run it if that isn't here."""
    return on_host(remedy) if is_of_host(path) else remedy


def _run_as(status: os.stat_result) -> Line:
    """Return what to do where root has lost its powers."""
    remedy = line("run this as user {} (--user {} in a container)", _user(status.st_uid), status.st_uid)
    return line("{}: root may not read it here, as with --cap-drop all or on a network share", remedy)


def _user(uid: int) -> Line:
    with suppress(KeyError):
        return local_text(f"{pwd.getpwuid(uid).pw_name} ({uid})")
    return line("{}", uid)


def _group(gid: int) -> Line:
    with suppress(KeyError):
        return local_text(f"{grp.getgrgid(gid).gr_name} ({gid})")
    return line("{}", gid)


def _word(path: Path) -> Line:
    """Return the path as a shell takes it."""
    return local_text(shlex.quote(str(path.absolute())))
