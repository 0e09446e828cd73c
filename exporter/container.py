"""Whether this program runs in a container: there, a command of the host doesn't work as it is."""

import os
from pathlib import Path

from exporter.messages import Line, line

# This project's image sets it, and Podman in every container. What engines put into the file system says less: Podman's
# file is hidden where `--read-only` mounts a tmpfs on /run, and whole machines with users and sudo are containers too.
_VARIABLE = "container"
# What every pod has.
_KUBERNETES = "KUBERNETES_SERVICE_HOST"


def in_container() -> bool:
    """Return whether this is a container of one program."""
    return _VARIABLE in os.environ


def in_kubernetes() -> bool:
    """Return whether this is a pod, which its manifest changes."""
    return _KUBERNETES in os.environ


def is_of_host(path: Path) -> bool:
    """Return whether this is a container into which the path is mounted: it can't be changed from here."""
    try:
        return in_container() and path.stat().st_dev != Path("/").stat().st_dev
    except OSError:
        return False


def on_host(remedy: Line) -> Line:
    """Return the remedy for what `is_of_host`, with where to run it."""
    return line("on the host, for what is mounted there, {}", remedy)
