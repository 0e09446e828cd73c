"""What the simulated Entra ID refuses, and with which errors."""

import re
from collections.abc import Callable

import httpx
import pytest

from partnercenter_simulator import Fault, Simulator
from partnercenter_simulator.entra_errors import ERRORS, EntraRefusal

Redeem = Callable[..., httpx.Response]
DESCRIPTION = re.compile(
    r"AADSTS(\d+): .+\r\nTrace ID: [-0-9a-f]{36}\r\nCorrelation ID: [-0-9a-f]{36}\r\n"
    r"Timestamp: \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ"
)


def codes(answer: httpx.Response) -> list[int]:
    found: list[int] = answer.json()["error_codes"]
    return found


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"client_id": "00000000-0000-0000-0000-000000000001"}, 700016),
        ({"client_id": ""}, 900144),
        ({"client_secret": "wrong"}, 7000215),
        ({"client_secret": ""}, 7000218),
        ({"refresh_token": "no token at all"}, 9002313),
        ({"refresh_token": ""}, 900144),
        ({"grant_type": "password"}, 70003),
        ({"scope": "openid"}, 70011),
        ({"scope": "https://nowhere.example/user_impersonation"}, 500011),
        ({"scope": "https://api.partnercenter.microsoft.com/Mail.Read"}, 65001),
        ({"tenant": "00000000-0000-0000-0000-000000000001"}, 90002),
        ({"tenant": "common"}, 50194),
    ],
)
def test_an_invalid_request_is_refused_with_its_code(redeem: Redeem, fields: dict[str, str], code: int) -> None:
    answer = redeem(**fields)
    assert codes(answer) == [code]
    assert answer.status_code == ERRORS[code].status


def test_an_expired_secret_is_distinguished_from_an_invalid_one(simulator: Simulator, redeem: Redeem) -> None:
    simulator.entra.accept_secret("old", expires_at=1.0)
    assert codes(redeem(client_secret="old")) == [7000222]


def test_an_old_and_a_new_secret_both_work_until_the_old_one_is_removed(simulator: Simulator, redeem: Redeem) -> None:
    simulator.entra.accept_secret("new")
    assert redeem().status_code == 200
    simulator.entra.refuse_secret(simulator.client_secret)
    assert codes(redeem()) == [7000215]
    assert redeem(client_secret="new").status_code == 200


def test_a_refresh_token_can_be_revoked_alone(simulator: Simulator, redeem: Redeem) -> None:
    dead, alive = simulator.entra.issue_refresh_token(), simulator.entra.issue_refresh_token()
    simulator.entra.revoke(dead, code=50089)
    assert codes(redeem(refresh_token=dead)) == [50089]
    assert redeem(refresh_token=alive).status_code == 200


def test_all_refresh_tokens_can_be_revoked_at_once(simulator: Simulator, redeem: Redeem) -> None:
    dead = simulator.entra.issue_refresh_token()
    simulator.entra.revoke_all()
    assert codes(redeem(refresh_token=dead)) == [50173]
    assert redeem().status_code == 200


def test_a_refresh_token_expires_after_ninety_days() -> None:
    clock = [1_750_000_000.0]
    with Simulator(now=lambda: clock[0]) as simulator:
        token = simulator.entra.issue_refresh_token()
        clock[0] += 90 * 86400 - 1
        assert simulator.entra.refresh_tokens.redeem(token, simulator.client_id).mfa
        clock[0] += 1
        with pytest.raises(EntraRefusal, match="AADSTS700082"):
            simulator.entra.refresh_tokens.redeem(token, simulator.client_id)


def test_another_clients_refresh_token_is_refused(simulator: Simulator, redeem: Redeem) -> None:
    token = simulator.entra.issue_refresh_token(client_id="another")
    assert codes(redeem(refresh_token=token)) == [700007]


@pytest.mark.parametrize("code", ERRORS)
def test_every_code_can_be_injected_with_its_own_text(simulator: Simulator, redeem: Redeem, code: int) -> None:
    simulator.faults.add(Fault(kind="entra_error", endpoint="token", code=code))
    answer = redeem()
    document = answer.json()
    assert answer.status_code == ERRORS[code].status
    assert document["error"] == ERRORS[code].error
    assert document.get("suberror", "") == ERRORS[code].suberror
    match = DESCRIPTION.fullmatch(document["error_description"])
    assert match is not None
    assert int(match[1]) == code
    assert document["correlation_id"] in document["error_description"]
    assert document.keys() >= {"error_codes", "timestamp", "trace_id", "error_uri"}


def test_a_refused_request_issues_no_token(simulator: Simulator, redeem: Redeem) -> None:
    simulator.faults.add(Fault(kind="entra_error", endpoint="token", code=50076))
    redeem()
    assert simulator.entra.issued_refresh_token_count == 1


def test_the_clients_correlation_id_comes_back_in_an_error(simulator: Simulator, client: httpx.Client) -> None:
    path = f"/{simulator.tenant_id}/oauth2/v2.0/token"
    answer = client.post(path, headers={"client-request-id": "11111111-2222-3333-4444-555555555555"})
    assert answer.json()["correlation_id"] == "11111111-2222-3333-4444-555555555555"


def test_discovery_of_an_unknown_tenant_fails_as_at_microsoft(client: httpx.Client) -> None:
    answer = client.get("/nobody.example/v2.0/.well-known/openid-configuration")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_tenant")


@pytest.mark.parametrize(
    ("change", "code"), [({"client_id": "unknown"}, 700016), ({"redirect_uri": "https://elsewhere.example"}, 50011)]
)
def test_authorize_never_sends_a_code_to_an_address_it_does_not_trust(
    simulator: Simulator, client: httpx.Client, change: dict[str, str], code: int
) -> None:
    query = {"client_id": simulator.client_id, "redirect_uri": "http://localhost:1", "response_type": "code"}
    answer = client.get(f"/{simulator.tenant_id}/oauth2/v2.0/authorize", params=query | change)
    assert answer.status_code == 400
    assert f"AADSTS{code}" in answer.text


@pytest.mark.parametrize(
    "change", [{"response_type": "token"}, {"code_challenge_method": "plain"}, {"response_mode": "form_post"}]
)
def test_authorize_redirects_with_an_error_for_what_it_does_not_support(
    simulator: Simulator, client: httpx.Client, change: dict[str, str]
) -> None:
    query = {
        "client_id": simulator.client_id,
        "redirect_uri": "http://localhost:1/done?a=b",
        "response_type": "code",
        "code_challenge": "c",
        "code_challenge_method": "S256",
        "state": "s1",
    }
    answer = client.get(f"/{simulator.tenant_id}/oauth2/v2.0/authorize", params=query | change)
    back = httpx.URL(answer.headers["location"])
    assert "error" in back.params
    assert (back.params["a"], back.params["state"]) == ("b", "s1")
