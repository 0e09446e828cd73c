"""What tests of the parts at work together share."""

import os

import pytest


@pytest.fixture(autouse=True)
def no_system_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust nobody but who the configuration names; reading the system's list takes 40 ms each time."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, os.devnull)
