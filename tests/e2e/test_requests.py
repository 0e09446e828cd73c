"""How the exporter identifies itself to Entra ID and Partner Center."""

import uuid

from exporter.model.rows import SourceName
from partnercenter_simulator.request_log import Request
from tests.e2e.conftest import Serving


def api_requests(serving: Serving) -> list[Request]:
    """Return every request to the data API."""
    return [request for endpoint in SourceName for request in serving.fabrikam.requests.of(endpoint)]


def test_each_source_is_asked_once_with_a_plain_get(serving: Serving) -> None:
    asked = [(request.method, request.path, dict(request.query)) for request in api_requests(serving)]
    assert asked == [("GET", "/v1/analytics/licenses/usage", {}), ("GET", "/v1/analytics/licenses/deployment", {})]


def test_requests_carry_the_documented_headers(serving: Serving) -> None:
    for request in api_requests(serving):
        headers = request.headers
        assert headers["accept"] == "application/json"
        assert headers["x-locale"] == "en-US"
        assert headers["ms-partnercenter-application"] == "partnercenter-exporter"
        assert headers["user-agent"].startswith("partnercenter-exporter/")
        assert headers["authorization"].startswith("Bearer ")
        for name in ("ms-requestid", "ms-correlationid"):
            assert str(uuid.UUID(headers[name])) == headers[name]
        # The SDK's own User-Agent is not ours to use.
        assert "ms-partnercenter-client" not in headers


def test_each_poll_has_a_correlation_id_and_each_call_a_request_id_of_its_own(serving: Serving) -> None:
    requests = api_requests(serving)
    for name in ("ms-requestid", "ms-correlationid"):
        assert len({request.headers[name] for request in requests}) == len(requests)


def test_tokens_are_sent_in_the_authorization_header_and_nowhere_else(serving: Serving) -> None:
    refresh_tokens = serving.fabrikam.entra.issued_refresh_tokens
    assert refresh_tokens
    for request in serving.fabrikam.requests.of():
        others = {name: value for name, value in request.headers.items() if name != "authorization"}
        said = repr((request.path, dict(request.query), others))
        # Every access token is a JSON Web Token, which starts like this.
        assert "eyJ" not in said
        assert serving.fabrikam.client_secret not in said
        assert not [token for token in refresh_tokens if token in said]


def test_the_sources_of_a_partner_share_one_sign_in(serving: Serving) -> None:
    assert serving.fabrikam.requests.count("token") == 1
    assert len({request.headers["authorization"] for request in api_requests(serving)}) == 1


def test_a_partner_s_token_goes_to_its_own_api_only(serving: Serving) -> None:
    contoso = {request.headers["authorization"] for request in serving.contoso.requests.of("usage")}
    fabrikam = {request.headers["authorization"] for request in serving.fabrikam.requests.of("usage")}
    assert not contoso & fabrikam
    assert {request.status for request in serving.contoso.requests.of("usage")} == {200}
