"""Where an upstream or the proxy can't be reached, `check`, the log and the page name host and address."""

import html
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from partnercenter_simulator import Fault, Simulator
from tests.e2e.conftest import Run, start
from tests.support.cases import cases
from tests.support.config import write_config
from tests.support.proxy import closed_port

PASSWORD = "xK9vQ2rT7wZ4"
SERVER = r"(localhost|127\.0\.0\.1)"
UNTRUSTED = rf"the server's certificate is not trusted: {SERVER} \(127\.0\.0\.1 port \d+\): .*, it"
KINDS = {
    "proxy's name": "can't resolve the proxy's host name proxy.invalid: ",
    "proxy refuses": r"can't connect to the proxy 127\.0\.0\.1 port \d+ \(127\.0\.0\.1\): Connection refused",
    "server's name": "can't resolve the server's host name login.invalid: ",
    "server refuses": rf"can't connect to the server {SERVER} port \d+ \(.*127\.0\.0\.1.*Connection refused",
    "tls_expired": f"{UNTRUSTED} was valid until 2",
    "tls_not_yet_valid": f"{UNTRUSTED} is valid from 2",
    "tls_wrong_name": f"{UNTRUSTED} is for ",
    "tls_untrusted": f"{UNTRUSTED}s issuer is ",
}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def broken(kind: str, simulator: Simulator, folder: Path, stack: ExitStack) -> Path:
    """Return a configuration with which nothing is reached."""
    keys: dict[str, Any] = {}
    if kind == "proxy's name":
        keys = {"http": {"proxy_url": f"http://user:{PASSWORD}@proxy.invalid:3128"}}
    elif kind == "proxy refuses":
        port = stack.enter_context(closed_port())
        keys = {"http": {"proxy_url": f"http://user:{PASSWORD}@127.0.0.1:{port}"}}
    elif kind == "server's name":
        keys = {"partner": {"authority": f"https://login.invalid/{simulator.tenant_id}"}}
    elif kind == "server refuses":
        port = stack.enter_context(closed_port())
        keys = {"partner": {"authority": f"https://localhost:{port}/{simulator.tenant_id}"}}
    else:
        simulator.faults.add(Fault(kind=kind))
    return write_config(folder, simulator, **keys)


@pytest.mark.parametrize(
    "kind",
    cases(
        "tls_untrusted",
        "proxy refuses",
        in_ci=[kind for kind in KINDS if kind not in ("tls_untrusted", "proxy refuses")],
    ),
)
def test_check_the_log_and_the_page_name_host_and_address(
    run_here: Run, simulator: Simulator, tmp_path: Path, stack: ExitStack, kind: str
) -> None:
    file = broken(kind, simulator, tmp_path, stack)
    checked = run_here("check", f"--config.file={file}")
    assert checked.status == 1
    with start(file) as process:
        process.wait_until_ready()
        page = html.unescape(process.ask("/").text)
    for shown in (checked.stdout, process.stderr.replace('\\"', '"'), page):
        assert re.search(KINDS[kind], shown)
        assert PASSWORD not in shown
