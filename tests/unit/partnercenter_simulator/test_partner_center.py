"""What the simulated API returns, and to whom."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from partnercenter_simulator import Simulator

Ask = Callable[..., httpx.Response]
Redeem = Callable[..., httpx.Response]


def read(answer: httpx.Response) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(answer.content.decode("utf-8-sig"))
    return document


def fault(answer: httpx.Response) -> tuple[int, str]:
    document = answer.json()
    assert document.keys() == {"code", "description", "data", "source"}
    return answer.status_code, document["code"]


def test_usage_is_a_collection_behind_a_byte_order_mark(ask: Ask) -> None:
    answer = ask("usage")
    assert answer.content.startswith(b"\xef\xbb\xbf{")
    document = read(answer)
    assert document["attributes"] == {"objectType": "Collection"}
    assert document["totalCount"] == len(document["items"]) == 24
    fields = {"proratedLicensesUsagePercent", "workloadName", "processedDateTime", "serviceName", "channel"}
    assert all(item.keys() == fields | {"attributes"} for item in document["items"])


def test_deployment_is_a_collection_behind_a_byte_order_mark(ask: Ask) -> None:
    answer = ask("deployment")
    assert answer.content.startswith(b"\xef\xbb\xbf{")
    fields = {"proratedDeploymentPercent", "licensesSold", "processedDateTime", "serviceName", "channel"}
    assert all(item.keys() == fields | {"attributes"} for item in read(answer)["items"])


def test_percentages_are_those_of_the_data_set(simulator: Simulator, ask: Ask) -> None:
    figures = simulator.dataset.usage(simulator.time.data_now())
    sent = [item["proratedLicensesUsagePercent"] for item in read(ask("usage"))["items"]]
    assert sent == [figure.percent for figure in figures]


def test_keys_come_in_varying_order_and_numbers_in_both_types(ask: Ask) -> None:
    usage, deployment = read(ask("usage"))["items"], read(ask("deployment"))["items"]
    assert len({tuple(item) for item in usage}) > 1
    assert {type(item["licensesSold"]) for item in deployment} == {int, float}


def test_a_call_without_a_token_is_refused(client: httpx.Client) -> None:
    answer = client.get("/v1/analytics/licenses/usage", headers={"MS-CorrelationId": "c1"})
    assert fault(answer) == (401, "800001")
    assert answer.headers["www-authenticate"] == "OAuth realm=urn:cpsvc:cpid:c1"


def test_a_made_up_token_is_refused(ask: Ask) -> None:
    assert fault(ask(token="made.up.token")) == (401, "400")


def test_an_expired_token_is_refused(simulator: Simulator, ask: Ask) -> None:
    simulator.entra.token_lifetime_seconds = 0
    assert fault(ask()) == (401, "400")


@pytest.mark.parametrize("name", ["https://api.partnercenter.microsoft.com", "fa3d9a0c-3fb0-42cc-9193-47c7ecd2edbd"])
def test_a_token_for_partner_center_s_real_names_is_accepted(ask: Ask, redeem: Redeem, name: str) -> None:
    token = redeem(scope=f"{name}/user_impersonation").json()["access_token"]
    assert ask(token=token).status_code == 200


def test_a_token_for_another_api_is_refused(ask: Ask, redeem: Redeem) -> None:
    token = redeem(scope="https://graph.windows.net/.default").json()["access_token"]
    assert fault(ask(token=token)) == (401, "900420")


def test_a_token_without_second_factor_is_refused_while_that_is_enforced(
    simulator: Simulator, ask: Ask, redeem: Redeem
) -> None:
    weak = simulator.entra.issue_refresh_token(mfa=False)
    token = redeem(refresh_token=weak).json()["access_token"]
    assert fault(ask(token=token)) == (401, "900421")
    simulator.partner_center.mfa_enforced = False
    assert ask(token=token).status_code == 200


def test_an_unknown_path_is_not_found(ask: Ask) -> None:
    assert fault(ask("nothing")) == (404, "404")


def test_only_get_is_allowed(client: httpx.Client) -> None:
    answer = client.post("/v1/analytics/licenses/usage")
    assert fault(answer) == (405, "405")
    assert answer.headers["allow"] == "GET"


def test_the_callers_ids_are_echoed_and_the_servers_added(ask: Ask) -> None:
    answer = ask(**{"MS-RequestId": "r1", "MS-CorrelationId": "c1"})
    assert (answer.headers["ms-requestid"], answer.headers["ms-correlationid"]) == ("r1", "c1")
    assert {"ms-cv", "ms-serverid"} <= answer.headers.keys()


def test_fast_time_brings_new_figures() -> None:
    clock = [1_750_000_000.0]
    with Simulator(speed=86400, now=lambda: clock[0]) as simulator:
        before = simulator.dataset.usage(simulator.time.data_now())
        clock[0] += 1
        assert simulator.dataset.usage(simulator.time.data_now()) != before
