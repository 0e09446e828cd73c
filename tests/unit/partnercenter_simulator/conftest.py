"""The calls to a running simulator that most of its tests make."""

import ssl
from collections.abc import Callable, Iterator

import httpx
import pytest

from partnercenter_simulator import Simulator
from tests.support.process import PATIENCE_SECONDS


@pytest.fixture
def tls(simulator: Simulator) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=simulator.ca_pem.decode())


@pytest.fixture
def client(simulator: Simulator, tls: ssl.SSLContext) -> Iterator[httpx.Client]:
    with httpx.Client(verify=tls, base_url=simulator.base_url, timeout=PATIENCE_SECONDS) as connected:
        yield connected


@pytest.fixture
def redeem(simulator: Simulator, client: httpx.Client) -> Callable[..., httpx.Response]:
    """Call the token endpoint, by default with a valid form; a keyword replaces a field, "" removes it."""

    def post(tenant: str = "", **fields: str) -> httpx.Response:
        form = {
            "grant_type": "refresh_token",
            "client_id": simulator.client_id,
            "client_secret": simulator.client_secret,
            "scope": f"{simulator.base_url}/user_impersonation offline_access openid",
        }
        if "refresh_token" not in fields:
            form["refresh_token"] = simulator.entra.issue_refresh_token()
        form = {name: value for name, value in (form | fields).items() if value}
        return client.post(f"/{tenant or simulator.tenant_id}/oauth2/v2.0/token", data=form)

    return post


@pytest.fixture
def ask(client: httpx.Client, redeem: Callable[..., httpx.Response]) -> Callable[..., httpx.Response]:
    """Call the API, with a new access token unless one is given."""

    def get(endpoint: str = "usage", token: str = "", **headers: str) -> httpx.Response:
        bearer = {"Authorization": f"Bearer {token or redeem().json()['access_token']}"}
        return client.get(f"/v1/analytics/licenses/{endpoint}", headers=bearer | headers)

    return get
