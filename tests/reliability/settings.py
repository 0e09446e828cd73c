"""How each fault of the matrix is brought about, and taken away again at the end of the context."""

import contextlib
import json
import resource
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

from exporter.upstream.connecting import Address
from partnercenter_simulator import InsightsQuirks, Quirks
from partnercenter_simulator.faults import CONNECTION_KINDS
from tests.reliability.promises import Row
from tests.reliability.rig import DAY_SECONDS, Rig
from tests.support.addresses import UNSUPPORTED, black_hole, hanging_up, refusing, refusing_ipv6
from tests.support.config import PARTNER, token_file
from tests.support.locks import held_by_another_process
from tests.support.proxy import closed_port, refusing_proxy

# Longer than any name that DNS knows (RFC 1035, 2.3.4): resolvers refuse it without asking anybody.
UNKNOWN_HOST = ".".join(["unknown" * 8] * 5)
_FOLDERS = ("polls", "data", "tokens")


@contextmanager
def planned(rig: Rig, row: Row) -> Iterator[None]:
    """Let the simulator do it."""
    rig.simulator.faults.add(*row.plan)
    hang_up = any(fault.kind in CONNECTION_KINDS for fault in row.plan)
    if hang_up:
        rig.simulator.hang_up()
    if row.quirks:
        rig.simulator.commercial.quirks = row.quirks
    if row.insights:
        rig.simulator.insights.quirks = row.insights
    yield
    rig.simulator.faults.clear()
    rig.simulator.commercial.quirks = Quirks()
    rig.simulator.insights.quirks = InsightsQuirks()


def dated(rig: Rig, row: Row) -> AbstractContextManager[None]:
    """Let the simulator do it, with a date in Retry-After that is counted from the poll, not from the import."""
    due = rig.status("usage").next_poll_at or rig.clock.true_time()
    until = formatdate(due + row.outcome.asked_seconds, usegmt=True)
    plan = tuple(replace(fault, retry_after=until) for fault in row.plan)
    return planned(rig, replace(row, plan=plan))


@contextmanager
def stopped(rig: Rig, _row: Row) -> Iterator[None]:
    """Let nobody listen."""
    rig.simulator.stop()
    yield
    rig.simulator.start()


@contextmanager
def _configured(rig: Rig, *, partner: Mapping[str, Any] | None = None, **top: Any) -> Iterator[None]:
    content = rig.file.read_text()
    rig.reconfigure(partner=partner, **top)
    yield
    rig.file.write_text(content)
    rig.app.reload()


def unknown_api(rig: Rig, _row: Row) -> AbstractContextManager[None]:
    """Reload with an API host that no resolver knows."""
    return _configured(rig, partner={"api_url": f"https://{UNKNOWN_HOST}"})


def impossible_api(rig: Rig, _row: Row) -> AbstractContextManager[None]:
    """Reload with an API host that can't be a name."""
    return _configured(rig, partner={"api_url": "https://api..example"})


def unknown_login(rig: Rig, _row: Row) -> AbstractContextManager[None]:
    """Reload with a login host that no resolver knows."""
    authority = f"https://{UNKNOWN_HOST}/{rig.simulator.tenant_id}"
    return _configured(rig, partner={"authority": authority})


@contextmanager
def _addresses(rig: Rig, first: Sequence[Address], *, alive: bool) -> Iterator[None]:
    """Let every host name have these addresses, before its own where that is `alive`, for new connections."""
    found = rig.lookup
    rig.lookup = lambda host, port: [*first, *(found(host, port) if alive else ())]
    rig.simulator.hang_up()
    yield
    rig.lookup = found


@contextmanager
def first_addresses_dead(rig: Rig, _row: Row) -> Iterator[None]:
    """Put dead addresses before the living one of every host: the API's and Entra ID's."""
    with (
        black_hole() as hole,
        refusing() as closed,
        refusing_ipv6() as closed_ipv6,
        _addresses(rig, [closed_ipv6, hole, UNSUPPORTED, closed], alive=True),
    ):
        yield


@contextmanager
def first_address_useless(rig: Rig, _row: Row) -> Iterator[None]:
    """Put an address before the living one of every host that accepts connections, and ends them."""
    with hanging_up() as useless, _addresses(rig, [useless], alive=True):
        yield


@contextmanager
def all_addresses_dead(rig: Rig, _row: Row) -> Iterator[None]:
    """Let every host have addresses that answer nothing."""
    with black_hole() as hole, _addresses(rig, [hole, hole], alive=False):
        yield


@contextmanager
def proxy_away(rig: Rig, _row: Row) -> Iterator[None]:
    """Reload with a proxy where nobody listens."""
    with closed_port() as port, _configured(rig, http={"ca_file": "ca.pem", "proxy_url": f"http://127.0.0.1:{port}"}):
        yield


@contextmanager
def proxy_refuses(rig: Rig, _row: Row) -> Iterator[None]:
    """Reload with a proxy that asks for a password."""
    with refusing_proxy() as address, _configured(rig, http={"ca_file": "ca.pem", "proxy_url": address}):
        yield


@contextmanager
def state_unwritable(rig: Rig, _row: Row) -> Iterator[None]:
    """Let nothing be written below state_dir, though it can be read; rights don't stop root."""
    locks = [_state(rig) / folder / ".lock" for folder in _FOLDERS]
    for lock in locks:
        lock.unlink()
        lock.mkdir()
    yield
    for lock in locks:
        lock.rmdir()


@contextmanager
def state_locked(rig: Rig, _row: Row) -> Iterator[None]:
    """Let another program hold every lock below state_dir."""
    with contextlib.ExitStack() as holding:
        for folder in _FOLDERS:
            holding.enter_context(held_by_another_process(_state(rig) / folder / ".lock"))
        yield


@contextmanager
def disk_full(_rig: Rig, _row: Row) -> Iterator[None]:
    """Let no byte be written to any file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def state_removed(rig: Rig, _row: Row) -> Iterator[None]:
    """Remove the whole of state_dir."""
    shutil.rmtree(_state(rig))
    yield


@contextmanager
def _rewritten(file: Path, content: bytes) -> Iterator[None]:
    before = file.read_bytes()
    file.write_bytes(content)
    yield
    file.write_bytes(before)


def token_damaged(rig: Rig, _row: Row) -> AbstractContextManager[None]:
    """Cut the stored token's file."""
    return _rewritten(token_file(rig.file), b'{"identity":')


@contextmanager
def token_open(rig: Rig, _row: Row) -> Iterator[None]:
    """Let every user read the stored token."""
    token_file(rig.file).chmod(0o644)
    yield
    token_file(rig.file).chmod(0o600)


@contextmanager
def token_foreign(rig: Rig, _row: Row) -> Iterator[None]:
    """Let the stored token be another application's."""
    file = token_file(rig.file)
    content = json.loads(file.read_bytes())
    content["identity"]["client_id"] = "00000000-0000-0000-0000-000000000001"
    file.write_text(json.dumps(content))
    yield


@contextmanager
def data_damaged(rig: Rig, _row: Row) -> Iterator[None]:
    """Cut the file of the last good data."""
    (_state(rig) / "data" / f"{PARTNER}.usage.json").write_bytes(b'{"identity":')
    yield


@contextmanager
def schedule_damaged(rig: Rig, _row: Row) -> Iterator[None]:
    """Fill the file of the schedule with NUL, as some file systems do after a power cut."""
    (_state(rig) / "polls" / f"{PARTNER}.usage.json").write_bytes(bytes(512))
    yield


@contextmanager
def secret_removed(rig: Rig, _row: Row) -> Iterator[None]:
    """Remove the client secret's file."""
    file = rig.file.parent / "client-secret"
    content = file.read_bytes()
    file.unlink()
    yield
    file.write_bytes(content)


def secret_wrong(rig: Rig, _row: Row) -> AbstractContextManager[None]:
    """Put another secret into the client secret's file."""
    return _rewritten(rig.file.parent / "client-secret", b"another\n")


@contextmanager
def clock_back(rig: Rig, _row: Row) -> Iterator[None]:
    """Set the clock back by a day."""
    rig.clock.jump(-DAY_SECONDS)
    yield
    rig.clock.jump(DAY_SECONDS)


@contextmanager
def clock_forward(rig: Rig, _row: Row) -> Iterator[None]:
    """Set the clock forward by a day."""
    rig.clock.jump(DAY_SECONDS)
    yield
    rig.clock.jump(-DAY_SECONDS)


def _state(rig: Rig) -> Path:
    return rig.file.parent / "state"


SETTINGS: Mapping[str, Callable[[Rig, Row], contextlib.AbstractContextManager[None]]] = {
    function.__name__: function
    for function in (
        planned, dated, stopped, unknown_api, impossible_api, unknown_login,
        first_addresses_dead, first_address_useless, all_addresses_dead, proxy_away, proxy_refuses,
        state_unwritable, state_locked, disk_full, state_removed, token_damaged, token_open, token_foreign,
        data_damaged, schedule_damaged, secret_removed, secret_wrong, clock_back, clock_forward,
    )
}  # fmt: skip
