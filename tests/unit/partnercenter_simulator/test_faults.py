"""Each fault has the effect that its name says."""

import gzip
import json
import socket
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from partnercenter_simulator import Fault, Simulator
from partnercenter_simulator.fault_effects import EFFECTS
from partnercenter_simulator.faults import CONNECTION, FILES_CONNECTION, KINDS, FaultPlan
from tests.support.process import PATIENCE_SECONDS

Ask = Callable[..., httpx.Response]
BOM = b"\xef\xbb\xbf"
MEGABYTE = 1024 * 1024


@pytest.fixture
def faulted(simulator: Simulator, redeem: Ask, ask: Ask) -> Callable[..., httpx.Response]:
    """Request usage with one fault planned for it."""

    def get(kind: str, **parameters: Any) -> httpx.Response:
        token = redeem().json()["access_token"]
        simulator.faults.clear()
        simulator.faults.add(Fault(kind=kind, endpoint="usage", **parameters))
        return ask("usage", token=token)

    return get


def test_every_kind_has_an_effect() -> None:
    assert KINDS.keys() == EFFECTS.keys()


def test_a_status_comes_with_the_documented_fault(faulted: Ask) -> None:
    answer = faulted("status", status=403, code=900308, text="No.", retry_after="Wed, 21 Oct 2026 07:28:00 GMT")
    assert (answer.status_code, answer.json()["code"], answer.json()["description"]) == (403, "900308", "No.")
    assert answer.headers["retry-after"] == "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(("body", "start"), [("gateway", b'{"statusCode":502'), ("html", b"<!DOCTYPE"), ("empty", b"")])
def test_a_status_has_the_requested_body(faulted: Ask, body: str, start: bytes) -> None:
    answer = faulted("status", status=502, body=body)
    assert answer.status_code == 502
    assert answer.content.startswith(start)
    assert bool(answer.content) == bool(start)


def test_throttling_has_the_gateways_format(faulted: Ask) -> None:
    answer = faulted("throttled")
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "57"
    assert answer.content == b'{"statusCode":429,"message":"Rate limit is exceeded. Try again in 57 seconds."}'


@pytest.mark.parametrize(("after", "spelled"), [(None, None), (30, "30")])
def test_no_content_has_no_body_and_an_optional_retry_after(
    faulted: Ask, after: float | None, spelled: str | None
) -> None:
    answer = faulted("no_content", retry_after=after)
    assert (answer.status_code, answer.content, answer.headers.get("retry-after")) == (204, b"", spelled)


def test_a_redirect_points_elsewhere(faulted: Ask) -> None:
    answer = faulted("redirect", location="https://elsewhere.example/", status=307)
    assert (answer.status_code, answer.headers["location"]) == (307, "https://elsewhere.example/")


def test_the_three_errors_for_missing_mfa(faulted: Ask) -> None:
    newest, oldest, other = (faulted(f"mfa_required{year}") for year in ("", "_2019", "_2020"))
    assert (newest.status_code, newest.json()["code"]) == (401, "900421")
    assert (oldest.text, oldest.headers["www-authenticate"]) == (
        "401 Unauthorized - MFA required",
        'Bearer error="invalid_token"',
    )
    assert other.json()["description"] == "Authentication failed. MFA required. (10001)"


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
def test_a_token_answer_can_lack_a_token(simulator: Simulator, redeem: Ask, name: str) -> None:
    simulator.faults.add(Fault(kind=f"token_without_{name}", endpoint="token"))
    answer = redeem()
    assert answer.status_code == 200
    assert {"access_token", "refresh_token"} - answer.json().keys() == {name}


def test_a_token_answer_can_have_a_byte_order_mark(simulator: Simulator, redeem: Ask) -> None:
    simulator.faults.add(Fault(kind="token_bom", endpoint="token"))
    assert redeem().content.startswith(BOM + b"{")


@pytest.mark.parametrize(
    ("kind", "start"), [("no_bom", b"{"), ("double_bom", BOM + BOM + b"{"), ("utf16", b"\xff\xfe{\0")]
)
def test_the_answer_starts_with_other_marks(faulted: Ask, kind: str, start: bytes) -> None:
    assert faulted(kind).content.startswith(start)


def test_latin_1_is_not_utf_8(faulted: Ask) -> None:
    body = faulted("wrong_charset").content
    assert "Zürich".encode("latin-1") in body
    with pytest.raises(UnicodeDecodeError):
        body.decode()


@pytest.mark.parametrize(
    ("kind", "content_type", "start"),
    [
        ("html", "text/html; charset=utf-8", b"<!DOCTYPE"),
        ("empty", "application/json; charset=utf-8", b""),
        ("not_json", "application/json; charset=utf-8", BOM + b"Everything"),
    ],
)
def test_status_200_can_have_any_body(faulted: Ask, kind: str, content_type: str, start: bytes) -> None:
    answer = faulted(kind)
    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
    assert answer.content[: len(start)] == start


@pytest.mark.parametrize("root", [None, "text", [], 5])
def test_the_root_can_be_any_json(faulted: Ask, root: object) -> None:
    assert json.loads(faulted("wrong_root", root=root).content.decode("utf-8-sig")) == root


def test_the_body_can_be_any_bytes(faulted: Ask) -> None:
    assert faulted("replace_body", content=b"\xff\0\xfe").content == b"\xff\0\xfe"


@pytest.mark.parametrize(
    ("kind", "parameters", "rows"),
    [("empty_rows", {}, []), ("rows", {"rows": [{"channel": "\ud800"}, 5]}, [{"channel": "\ud800"}, 5])],
)
def test_the_rows_can_be_replaced(faulted: Ask, kind: str, parameters: dict[str, object], rows: list[object]) -> None:
    document = json.loads(faulted(kind, **parameters).content.removeprefix(BOM))
    assert (document["items"], document["totalCount"]) == (rows, len(rows))


def test_truncated_json_is_valid_http(faulted: Ask) -> None:
    body = faulted("truncated_json").content
    with pytest.raises(json.JSONDecodeError):
        json.loads(body.decode("utf-8-sig"))


def test_a_truncated_answer_ends_before_its_content_length(faulted: Ask) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        faulted("truncated")


def test_a_gzip_bomb_is_small_on_the_wire_and_valid_json_inside(simulator: Simulator, client: httpx.Client) -> None:
    simulator.faults.add(Fault(kind="gzip_bomb", endpoint="discovery", megabytes=3))
    path = f"/{simulator.tenant_id}/v2.0/.well-known/openid-configuration"
    with client.stream("GET", path) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert len(raw) < MEGABYTE / 10
    unfolded = gzip.decompress(raw)
    assert len(unfolded) > 3 * MEGABYTE
    assert "issuer" in json.loads(unfolded)


def test_an_oversized_response_is_as_long_as_requested(faulted: Ask) -> None:
    answer = faulted("oversized", megabytes=2)
    assert len(answer.content) > 2 * MEGABYTE
    assert "items" in json.loads(answer.content)


@pytest.mark.parametrize(("kind", "seconds"), [("slow_first_byte", 0.01), ("slow_body", 0.0001)])
def test_a_slow_response_is_complete_in_the_end(faulted: Ask, kind: str, seconds: float) -> None:
    assert "items" in json.loads(faulted(kind, seconds=seconds).content.decode("utf-8-sig"))


@pytest.mark.parametrize("kind", ["slow_first_byte", "slow_body", "stall"])
def test_a_client_that_does_not_wait_long_enough_times_out(
    simulator: Simulator, client: httpx.Client, kind: str
) -> None:
    simulator.faults.add(Fault(kind=kind, seconds=60))
    with pytest.raises(httpx.ReadTimeout):
        client.get(f"/{simulator.tenant_id}/v2.0/.well-known/openid-configuration", timeout=0.2)
    assert simulator.requests.of("discovery")[0].status == 200


def test_a_stalled_answer_stops_at_half(simulator: Simulator, client: httpx.Client) -> None:
    simulator.faults.add(Fault(kind="stall", seconds=60))
    path = f"/{simulator.tenant_id}/v2.0/.well-known/openid-configuration"
    got: list[bytes] = []
    with client.stream("GET", path, timeout=0.2) as answer, pytest.raises(httpx.ReadTimeout):
        got.extend(answer.iter_raw())
    assert sum(map(len, got)) == int(answer.headers["content-length"]) // 2


def test_a_reset_is_a_tcp_reset(simulator: Simulator, tls: ssl.SSLContext) -> None:
    simulator.faults.add(Fault(kind="reset"))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = tls.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=PATIENCE_SECONDS) as connection:
        shake_hands(session, incoming, outgoing, connection)
        session.write(b"GET /v1/analytics/licenses/usage HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.sendall(outgoing.read())
        with pytest.raises(ConnectionResetError):  # without ssl.SSLSocket, which reports it as an end of file
            read_to_the_end(connection)
    assert simulator.requests.of("usage")[0].status == 0


def shake_hands(
    session: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, connection: socket.socket
) -> None:
    done = False
    while not done:
        try:
            session.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            connection.sendall(outgoing.read())
            incoming.write(connection.recv(65536))
    connection.sendall(outgoing.read())


def read_to_the_end(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def test_a_fault_affects_only_its_endpoint(simulator: Simulator, ask: Ask) -> None:
    simulator.faults.add(Fault(kind="status", endpoint="usage"))
    assert (ask("deployment").status_code, ask("usage").status_code) == (200, 503)


def test_a_fault_applies_after_its_skips_and_as_often_as_planned() -> None:
    plan = FaultPlan()
    plan.add(Fault(kind="reset", endpoint="usage", skip=2, times=1))
    assert [plan.take("usage") is not None for _ in range(5)] == [False, False, True, False, False]
    assert plan.pending() == ()


def test_a_fault_can_strike_a_share_of_the_calls() -> None:
    plan = FaultPlan()
    plan.add(Fault(kind="reset", endpoint="usage", skip=1, every=2, times=2))
    assert [plan.take("usage") is not None for _ in range(7)] == [False, False, True, False, True, False, False]
    assert plan.pending() == ()


@pytest.mark.parametrize(
    ("endpoint", "struck"), [("any", {CONNECTION, FILES_CONNECTION}), ("files", {FILES_CONNECTION}), ("usage", set())]
)
def test_a_fault_of_connections_strikes_the_ports_it_is_for(endpoint: str, struck: set[str]) -> None:
    plan = FaultPlan()
    plan.add(Fault(kind="tls_expired", endpoint=endpoint))
    places = (CONNECTION, FILES_CONNECTION, "files", "usage", "insights_reports")
    assert {place for place in places if plan.take(place)} == struck


def test_the_fault_planned_first_applies_first() -> None:
    plan = FaultPlan()
    plan.add(Fault(kind="reset", times=1), Fault(kind="html"))
    kinds = [fault.kind for fault in (plan.take("usage"), plan.take("token"), plan.take("usage")) if fault]
    assert kinds == ["reset", "html", "html"]


def test_a_cleared_plan_has_no_faults() -> None:
    plan = FaultPlan()
    plan.add(Fault(kind="reset"))
    plan.clear()
    assert plan.take("usage") is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "fire"},
        {"kind": "reset", "endpoint": "moon"},
        {"kind": "reset", "times": 0},
        {"kind": "reset", "skip": -1},
        {"kind": "reset", "every": 0},
        {"kind": "status", "status": 99},
        {"kind": "status", "body": "poem"},
        {"kind": "stall", "seconds": 1e9},
        {"kind": "oversized", "megabytes": 10**6},
    ],
)
def test_an_invalid_fault_is_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        Fault(**wrong)
