"""A program that renews a sign-in until it kills itself: python -m tests.support.renewals CONFIG.

For each line on standard input, a number n, it forks a child (everything is imported by then). After its
first renewal the child is killed with SIGKILL just before its n-th operation on the state directory. Then the
program prints "ended".
"""

import os
import signal
import sys
from pathlib import Path

from exporter.config import Config, load
from exporter.logs import configure
from tests.support.builder import new_builder
from tests.support.clock import FakeClock

_DEEDS = ("open", "os.mkdir", "os.remove", "os.rename", "fcntl.flock")
_LONGER_THAN_THE_RENEWAL_INTERVAL_SECONDS = 1_000.0


def _renew_until(config: Config, *, die_at: int) -> None:
    clock = FakeClock()
    authenticator = new_builder(config, clock).partner(config.partners[0]).authenticator
    authenticator.refresh_if_due()
    _kill_at_deed(die_at, config.state_dir)
    while True:
        clock.advance(_LONGER_THAN_THE_RENEWAL_INTERVAL_SECONDS)
        authenticator.refresh_if_due()


def _kill_at_deed(number: int, folder: Path) -> None:
    left = number

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in _DEEDS and (event == "fcntl.flock" or _is_below(folder, arguments[0])):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def _is_below(folder: Path, name: object) -> bool:
    """Return whether a file is in the state directory: below it, files are named relative to an open directory."""
    return isinstance(name, str | Path) and (str(name).startswith(str(folder)) or not Path(name).is_absolute())


def main() -> None:
    """Fork a child per input line until EOF."""
    import msal  # noqa: F401, PLC0415  otherwise each child would spend its time on this

    configure(level="info", log_format="logfmt")
    config = load(Path(sys.argv[1]))
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _renew_until(config, die_at=int(line))
        os.waitpid(child, 0)
        sys.stdout.write("ended\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
