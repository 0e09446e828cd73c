"""The whole sign-in with the real MSAL, over an httpx adapter."""

import ssl
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import msal
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from partnercenter_simulator import Fault, Simulator

REDIRECT = "http://localhost:8765"
Build = Callable[[object], Any]


class Adapter:
    """httpx with the interface that MSAL expects; it encodes forms, which httpx would not do correctly."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def post(self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any) -> httpx.Response:
        body = urlencode(data) if isinstance(data, Mapping) else data
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._client.post(url, params=params, content=body, headers={**(headers or {}), **form})

    def get(self, url: str, params: Any = None, headers: Any = None, **_: Any) -> httpx.Response:
        return self._client.get(url, params=params, headers=headers)


@pytest.fixture
def build(simulator: Simulator, tls: ssl.SSLContext) -> Iterator[Build]:
    with httpx.Client(verify=tls) as client:

        def application(credential: object) -> Any:
            return msal.ConfidentialClientApplication(
                simulator.client_id,
                client_credential=credential,
                authority=simulator.authority,
                instance_discovery=False,
                http_client=Adapter(client),
                http_cache={},
            )

        yield application


@pytest.fixture
def scopes(simulator: Simulator) -> list[str]:
    return [f"{simulator.base_url}/user_impersonation"]


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "exporter")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return builder.sign(key, SHA256())


def pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def follow(client: httpx.Client, address: str) -> dict[str, str]:
    """Open the sign-in page as a browser does, and return what it brings back to the redirect address."""
    answer = client.get(address)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(REDIRECT)
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def start(app: Any, scopes: list[str]) -> dict[str, Any]:
    with pytest.warns(UserWarning, match="form_post"):  # MSAL's advice, which does not concern the simulator
        flow: dict[str, Any] = app.initiate_auth_code_flow(
            scopes, redirect_uri=REDIRECT, response_mode="query", prompt="login"
        )
    return flow


def test_a_user_signs_in_with_code_and_pkce(
    simulator: Simulator, client: httpx.Client, build: Build, scopes: list[str]
) -> None:
    app = build(simulator.client_secret)
    flow = start(app, scopes)
    result = app.acquire_token_by_auth_code_flow(flow, follow(client, flow["auth_uri"]))
    assert result["id_token_claims"]["preferred_username"] == simulator.user
    assert [account["username"] for account in app.get_accounts()] == [simulator.user]
    answer = client.get("/v1/analytics/licenses/usage", headers={"Authorization": f"Bearer {result['access_token']}"})
    assert answer.status_code == 200


def test_a_code_can_be_redeemed_once(
    simulator: Simulator, client: httpx.Client, build: Build, scopes: list[str]
) -> None:
    app = build(simulator.client_secret)
    flow = start(app, scopes)
    back = follow(client, flow["auth_uri"])
    app.acquire_token_by_auth_code_flow(flow, back)
    again = build(simulator.client_secret).acquire_token_by_auth_code_flow(flow, back)
    assert again["error_codes"] == [54005]


def test_a_code_needs_the_verifier_of_its_challenge(
    simulator: Simulator, client: httpx.Client, build: Build, scopes: list[str]
) -> None:
    app = build(simulator.client_secret)
    flow = start(app, scopes)
    back = follow(client, flow["auth_uri"])
    result = app.acquire_token_by_auth_code_flow(flow | {"code_verifier": "x" * 43}, back)
    assert result["error_codes"] == [501481]


def test_a_code_needs_the_redirect_address_that_it_was_sent_to(
    simulator: Simulator, client: httpx.Client, build: Build, scopes: list[str]
) -> None:
    app = build(simulator.client_secret)
    flow = start(app, scopes)
    back = follow(client, flow["auth_uri"])
    result = app.acquire_token_by_auth_code_flow(flow | {"redirect_uri": "http://localhost:1"}, back)
    assert result["error_codes"] == [500112]


def test_a_user_who_declines_comes_back_with_the_reason(
    simulator: Simulator, client: httpx.Client, build: Build, scopes: list[str]
) -> None:
    simulator.faults.add(Fault(kind="entra_error", endpoint="authorize", code=65004))
    app = build(simulator.client_secret)
    flow = start(app, scopes)
    result = app.acquire_token_by_auth_code_flow(flow, follow(client, flow["auth_uri"]))
    assert result["error"] == "access_denied"
    assert result["error_description"].startswith("AADSTS65004: ")


def test_each_use_of_a_refresh_token_issues_another_and_the_old_one_stays_valid(
    simulator: Simulator, build: Build, scopes: list[str]
) -> None:
    first = simulator.entra.issue_refresh_token()
    app = build(simulator.client_secret)
    second = app.acquire_token_by_refresh_token(first, scopes)["refresh_token"]
    third = app.acquire_token_by_refresh_token(first, scopes)["refresh_token"]
    assert simulator.entra.issued_refresh_tokens == (first, second, third)
    assert simulator.entra.issued_refresh_token_count == 3


def test_the_cache_serves_until_the_token_is_about_to_expire(
    simulator: Simulator, build: Build, scopes: list[str]
) -> None:
    app = build(simulator.client_secret)
    app.acquire_token_by_refresh_token(simulator.entra.issue_refresh_token(), scopes)
    account = app.get_accounts()[0]
    assert app.acquire_token_silent_with_error(scopes, account)["token_source"] == "cache"
    simulator.entra.token_lifetime_seconds = 200
    app.acquire_token_by_refresh_token(simulator.entra.issue_refresh_token(), scopes)
    renewed = app.acquire_token_silent_with_error(scopes, account)
    assert renewed["token_source"] == "identity_provider"


def test_asking_for_default_never_fills_the_cache(simulator: Simulator, build: Build) -> None:
    app = build(simulator.client_secret)
    scopes = [f"{simulator.base_url}/.default"]
    app.acquire_token_by_refresh_token(simulator.entra.issue_refresh_token(), scopes)
    app.acquire_token_silent_with_error(scopes, app.get_accounts()[0])
    assert simulator.requests.count("token") == 2


def test_a_certificate_signs_in_by_its_sha256_thumbprint(
    simulator: Simulator, build: Build, scopes: list[str], key: rsa.RSAPrivateKey, certificate: x509.Certificate
) -> None:
    public = certificate.public_bytes(Encoding.PEM).decode()
    simulator.entra.register_certificate(public)
    app = build({"private_key": pem(key), "public_certificate": public})
    assert "access_token" in app.acquire_token_by_refresh_token(simulator.entra.issue_refresh_token(), scopes)


def test_a_certificate_signs_in_by_its_sha1_thumbprint(
    simulator: Simulator, build: Build, scopes: list[str], key: rsa.RSAPrivateKey, certificate: x509.Certificate
) -> None:
    simulator.entra.register_certificate(certificate.public_bytes(Encoding.PEM))
    app = build({"private_key": pem(key), "thumbprint": certificate.fingerprint(SHA1()).hex()})  # noqa: S303 -- the test is about the old thumbprint
    assert "access_token" in app.acquire_token_by_refresh_token(simulator.entra.issue_refresh_token(), scopes)


def test_a_certificate_that_is_not_registered_is_refused(
    simulator: Simulator, build: Build, scopes: list[str], key: rsa.RSAPrivateKey, certificate: x509.Certificate
) -> None:
    public = certificate.public_bytes(Encoding.PEM).decode()
    app = build({"private_key": pem(key), "public_certificate": public})
    result = app.acquire_token_by_refresh_token(simulator.entra.issue_refresh_token(), scopes)
    assert result["error_codes"] == [700027]


def test_a_key_that_is_not_the_certificates_is_refused(
    simulator: Simulator, build: Build, scopes: list[str], certificate: x509.Certificate
) -> None:
    public = certificate.public_bytes(Encoding.PEM).decode()
    simulator.entra.register_certificate(public)
    stranger = rsa.generate_private_key(65537, 2048)
    app = build({"private_key": pem(stranger), "public_certificate": public})
    result = app.acquire_token_by_refresh_token(simulator.entra.issue_refresh_token(), scopes)
    assert result["error_codes"] == [700027]


def test_a_federated_token_signs_in_once_it_is_registered(
    simulator: Simulator, build: Build, scopes: list[str]
) -> None:
    app = build({"client_assertion": lambda: "issued.by.another"})
    refused = app.acquire_token_by_refresh_token(simulator.entra.issue_refresh_token(), scopes)
    assert refused["error_codes"] == [700213]
    simulator.entra.register_federated_token("issued.by.another")
    assert "access_token" in app.acquire_token_by_refresh_token(simulator.entra.issue_refresh_token(), scopes)


def test_an_app_without_a_user_gets_a_token_that_the_api_refuses(
    simulator: Simulator, client: httpx.Client, build: Build
) -> None:
    app = build(simulator.client_secret)
    token = app.acquire_token_for_client([f"{simulator.base_url}/.default"])["access_token"]
    answer = client.get("/v1/analytics/licenses/usage", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "900329")
