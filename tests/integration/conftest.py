"""What tests of the parts at work together share."""

import os
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.connections import closed_at_the_end


@pytest.fixture(autouse=True)
def no_system_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust nobody but who the configuration names; reading the system's list takes 40 ms each time."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, os.devnull)


@pytest.fixture
def open_clients() -> Iterator[list[httpx.Client]]:
    """Every HTTP client that the exporter opens from now on; closed at the end."""
    with closed_at_the_end() as opened:
        yield opened
