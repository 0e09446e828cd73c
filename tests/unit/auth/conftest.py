"""Keys are slow to make: two certificates serve all tests."""

import pytest

from tests.support.certificates import ClientIdentity


@pytest.fixture(scope="session")
def client_identity() -> ClientIdentity:
    """A certificate with its key."""
    return ClientIdentity.new(days=30)


@pytest.fixture(scope="session")
def stranger() -> ClientIdentity:
    """Another one."""
    return ClientIdentity.new(days=60)
