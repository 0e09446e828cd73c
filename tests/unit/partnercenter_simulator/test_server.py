"""The simulator's server and its control pages."""

import logging
import socket
import ssl
import threading
from collections.abc import Callable

import httpx
import pytest

from partnercenter_simulator import Fault, Simulator

Ask = Callable[..., httpx.Response]


def threads(simulator: Simulator) -> list[str]:
    """Return this simulator's threads; those of other tests may be running too."""
    name = f"simulator-{simulator.port}"
    return [thread.name for thread in threading.enumerate() if thread.name == name]


def test_stopping_leaves_no_thread_and_no_open_connection(simulator: Simulator, client: httpx.Client) -> None:
    client.get("/_simulator/")
    simulator.stop()
    assert threads(simulator) == []
    with pytest.raises(httpx.TransportError):
        client.get("/_simulator/")


def test_stopping_aborts_stalled_responses_and_unfinished_handshakes() -> None:
    with Simulator() as simulator, socket.create_connection(("127.0.0.1", simulator.port)) as half_open:
        simulator.faults.add(Fault(kind="stall", seconds=300))
        plain = socket.create_connection(("127.0.0.1", simulator.port))
        with trusting(simulator).wrap_socket(plain, server_hostname="localhost") as stalled:
            stalled.sendall(b"GET /v1/analytics/licenses/usage HTTP/1.1\r\nHost: localhost\r\n\r\n")
            simulator.requests.wait_for(1, "usage")
            simulator.stop()
            assert threads(simulator) == []
            assert half_open.recv(1) == b""


def trusting(simulator: Simulator) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=simulator.ca_pem.decode())


def test_it_restarts_on_the_same_port_with_its_state(simulator: Simulator, client: httpx.Client) -> None:
    token, address = simulator.entra.issue_refresh_token(), simulator.base_url
    simulator.stop()
    simulator.start()
    assert simulator.base_url == address
    assert client.get("/_simulator/").status_code == 200
    assert simulator.entra.issued_refresh_tokens == (token,)


def test_it_holds_no_port_where_one_of_its_two_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as freed:
        port = freed.getsockname()[1]
        freed.close()
        with pytest.raises(OSError, match="in use"):
            Simulator(port=port, files_port=taken.getsockname()[1])
        socket.create_server(("127.0.0.1", port)).close()


def test_it_writes_nothing_to_the_log(simulator: Simulator, ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    simulator.faults.add(Fault(kind="truncated", endpoint="usage"))
    with pytest.raises(httpx.RemoteProtocolError):
        ask("usage")
    with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", simulator.port)) as plain:
        ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
    simulator.stop()
    assert [r for r in caplog.records if r.name.partition(".")[0] in ("uvicorn", "simulator", "asyncio")] == []


def test_the_same_seed_has_the_same_identity_and_another_seed_another() -> None:
    with Simulator(seed=4) as first, Simulator(seed=4) as second, Simulator(seed=5) as third:
        assert (first.tenant_id, first.client_secret) == (second.tenant_id, second.client_secret)
        assert first.tenant_id != third.tenant_id


def test_requests_are_recorded_without_their_tokens(simulator: Simulator, ask: Ask, redeem: Ask) -> None:
    token = redeem().json()["access_token"]
    ask("usage", token=token)
    entry = simulator.requests.of("usage")[0]
    assert (entry.method, entry.path, entry.status) == ("GET", "/v1/analytics/licenses/usage", 200)
    assert entry.headers["authorization"].startswith("Bearer sha256:")
    assert token not in str(simulator.requests.of())


def test_waiting_for_requests_returns_them_or_times_out(simulator: Simulator, ask: Ask) -> None:
    asking = threading.Thread(target=ask)
    asking.start()
    assert [entry.endpoint for entry in simulator.requests.wait_for(1, "usage")] == ["usage"]
    asking.join()
    with pytest.raises(TimeoutError, match="usage had 1 of 2"):
        simulator.requests.wait_for(2, "usage", timeout=0.01)


def test_the_help_page_names_every_page_and_how_to_connect(simulator: Simulator, client: httpx.Client) -> None:
    text = client.get("/_simulator/").text
    for word in ("ca.pem", "dataset", "requests", "refresh-token", "revoke", "faults", "gzip_bomb"):
        assert word in text
    assert simulator.authority in text


def test_the_control_pages_provide_what_a_client_needs(simulator: Simulator, client: httpx.Client) -> None:
    assert client.get("/_simulator/ca.pem").content == simulator.ca_pem
    assert client.post("/_simulator/refresh-token").text.strip() == simulator.entra.issued_refresh_tokens[0]
    figures = client.get("/_simulator/dataset").json()
    assert len(figures["usage"]) == 24
    assert len(figures["deployment"]) == 6


def test_tokens_can_be_revoked_over_http(client: httpx.Client, redeem: Ask) -> None:
    first, second = (client.post("/_simulator/refresh-token").text.strip() for _ in range(2))
    client.post("/_simulator/revoke", content=first)
    assert redeem(refresh_token=first).json()["error_codes"] == [50173]
    assert redeem(refresh_token=second).status_code == 200
    client.post("/_simulator/revoke")
    assert redeem(refresh_token=second).json()["error_codes"] == [50173]
    assert client.post("/_simulator/revoke", content="unknown").status_code == 400


def test_faults_can_be_added_listed_and_removed_over_http(client: httpx.Client, ask: Ask) -> None:
    planned = client.post("/_simulator/faults", json={"kind": "status", "endpoint": "usage", "times": 2})
    assert planned.json() == [{"kind": "status", "endpoint": "usage", "times": 2, "left": 2}]
    assert ask("usage").status_code == 503
    assert client.get("/_simulator/faults").json()[0]["left"] == 1
    client.delete("/_simulator/faults")
    assert ask("usage").status_code == 200


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "Invalid request: the body is not valid JSON."),
        (b"[]", "Invalid request: the body must be a JSON object."),
        (b'{"kind": "reset", "times": "two"}', "Invalid request: invalid value for times: 'two'."),
        (b'{"kind": "reset", "skip": true}', "Invalid request: invalid value for skip: True."),
    ],
)
def test_an_invalid_fault_is_rejected_with_the_reason(client: httpx.Client, body: bytes, sentence: str) -> None:
    answer = client.post("/_simulator/faults", content=body)
    assert (answer.status_code, answer.text.strip()) == (400, sentence)


def test_faults_do_not_affect_the_control_pages(simulator: Simulator, client: httpx.Client) -> None:
    simulator.faults.add(Fault(kind="reset"))
    assert client.get("/_simulator/faults").status_code == 200


@pytest.mark.parametrize(("path", "status"), [("/", 404), ("/_simulator/moon", 404), ("/nothing", 404)])
def test_unknown_paths_are_not_found(client: httpx.Client, path: str, status: int) -> None:
    assert client.get(path).status_code == status
