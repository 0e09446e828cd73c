"""What the token endpoint can answer, and what we make of it."""

import json
import math
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.auth.entra import EntraApplication, TokenGrant
from exporter.errors import (
    AuthenticationError,
    MfaRequired,
    NetworkError,
    PayloadError,
    PollError,
    RefreshTokenRefused,
    Rejected,
    Throttled,
    TruncatedBody,
    Unavailable,
    UpstreamTimeout,
)
from exporter.model.status import Identity
from exporter.redaction import Secret
from partnercenter_simulator import Fault, Simulator
from partnercenter_simulator.entra_errors import ERRORS
from partnercenter_simulator.faults import Body
from tests.support.logs import LogStream
from tests.support.sign_in import SignInKit

LOGIN = "partnercenter-exporter login --partner contoso"


def redeem(kit: SignInKit, entra: EntraApplication | None = None) -> TokenGrant:
    return (entra or kit.entra()).redeem(Secret(kit.simulator.entra.issue_refresh_token()))


def failure(kit: SignInKit, *faults: Fault) -> PollError:
    kit.simulator.faults.add(*faults)
    with pytest.raises(PollError) as caught:
        redeem(kit)
    return caught.value


@pytest.fixture
def hurried(simulator: Simulator, tmp_path: Path) -> Iterator[SignInKit]:
    """With little patience."""
    kit = SignInKit(simulator, tmp_path, timeout_seconds=0.3)
    yield kit
    kit.close()


@pytest.mark.parametrize("code", [code for code, kind in ERRORS.items() if kind.status < 429])
def test_every_refusal_is_one_of_the_sign_in_with_its_number_and_correlation_id(kit: SignInKit, code: int) -> None:
    error = failure(kit, Fault(kind="entra_error", endpoint="token", code=code))
    assert isinstance(error, AuthenticationError)
    assert error.error == ERRORS[code].error
    assert error.message.startswith(f"AADSTS{code}: ")
    assert ERRORS[code].text.split(": ")[-1].rstrip(".") in error.message
    assert "Trace ID" not in error.message
    assert len(error.exchange.correlation_id) == 36
    assert error.remedy


@pytest.mark.parametrize("code", [code for code, kind in ERRORS.items() if kind.status >= 500])
def test_a_temporary_refusal_does_not_change_the_sign_in_status(kit: SignInKit, code: int) -> None:
    assert type(failure(kit, Fault(kind="entra_error", endpoint="token", code=code))) is Unavailable


@pytest.mark.parametrize(
    ("code", "kind", "remedy"),
    [
        (700082, RefreshTokenRefused, LOGIN),
        (50076, MfaRequired, LOGIN),
        (70043, RefreshTokenRefused, "exempt the account"),
        (53003, AuthenticationError, "administrator"),
        (65001, AuthenticationError, "user_impersonation"),
        (7000215, AuthenticationError, "create a new one"),
        (700025, AuthenticationError, "confidential client"),
        (700016, AuthenticationError, "client_id"),
        (50057, AuthenticationError, LOGIN),
    ],
)
def test_each_class_of_refusals_has_its_remedy(kit: SignInKit, code: int, kind: type[PollError], remedy: str) -> None:
    error = failure(kit, Fault(kind="entra_error", endpoint="token", code=code))
    assert type(error) is kind
    assert remedy in error.remedy


def test_a_refresh_token_of_another_application_is_refused_as_such(kit: SignInKit) -> None:
    with pytest.raises(RefreshTokenRefused, match=r"AADSTS700007: .*another application") as caught:
        kit.entra().redeem(Secret(kit.simulator.entra.issue_refresh_token(client_id="other")))
    assert LOGIN in caught.value.remedy


def test_a_damaged_refresh_token_is_refused_without_being_shown(kit: SignInKit) -> None:
    with pytest.raises(RefreshTokenRefused) as caught:
        kit.entra().redeem(Secret("d4maged"))
    assert "d4maged" not in f"{caught.value!r} {caught.value.message}"


def test_an_error_is_not_repeated_once_its_cause_is_fixed(kit: SignInKit) -> None:
    """MSAL alone would repeat it for a minute."""
    entra = kit.entra()
    token = Secret(kit.simulator.entra.issue_refresh_token())
    kit.simulator.faults.add(Fault(kind="entra_error", endpoint="token", code=50173, times=1))
    with pytest.raises(RefreshTokenRefused):
        entra.redeem(token)
    assert entra.redeem(token).access_token


def test_an_answer_without_refresh_token_leaves_the_old_one(kit: SignInKit) -> None:
    kit.simulator.faults.add(Fault(kind="token_without_refresh_token", endpoint="token"))
    grant = redeem(kit)
    assert grant.access_token
    assert grant.refresh_token is None


def test_a_byte_order_mark_is_accepted(kit: SignInKit) -> None:
    kit.simulator.faults.add(Fault(kind="token_bom", endpoint="token"))
    assert redeem(kit).refresh_token


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="token_without_access_token", endpoint="token"),
        Fault(kind="html", endpoint="token"),
        Fault(kind="empty", endpoint="token"),
        Fault(kind="not_json", endpoint="token"),
        Fault(kind="truncated_json", endpoint="token"),
        Fault(kind="utf16", endpoint="token"),
        Fault(kind="wrong_root", endpoint="token"),
        Fault(kind="wrong_root", endpoint="token", root=[1]),
        Fault(kind="no_content", endpoint="token"),
        Fault(kind="oversized", endpoint="token", megabytes=2),
        Fault(kind="gzip_bomb", endpoint="token", megabytes=2),
        Fault(kind="status", endpoint="token", status=400, body="html"),
        Fault(kind="status", endpoint="token", status=403, body="empty"),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status or ''}",
)
def test_an_answer_that_is_no_token_answer_is_a_payload_error(kit: SignInKit, fault: Fault) -> None:
    assert type(failure(kit, fault)) is PayloadError


def test_an_html_page_instead_of_an_answer_hints_at_a_proxy(kit: SignInKit) -> None:
    error = failure(kit, Fault(kind="html", endpoint="token"))
    assert "<!DOCTYPE html>" in error.message
    assert "proxy" in error.remedy


@pytest.mark.parametrize(("asked", "seconds"), [(None, 57.0), (3, 3.0), ("7", 7.0), ("soon", None)])
def test_being_throttled_keeps_the_time_that_was_asked_for(
    kit: SignInKit, asked: float | str | None, seconds: float | None
) -> None:
    error = failure(kit, Fault(kind="throttled", endpoint="token", retry_after=asked))
    assert type(error) is Throttled
    assert error.retry_after_seconds == seconds


@pytest.mark.parametrize("body", ["fault", "html", "empty"])
@pytest.mark.parametrize("status", [500, 503, 599])
def test_a_server_error_is_temporary(kit: SignInKit, status: int, body: Body) -> None:
    error = failure(kit, Fault(kind="status", endpoint="token", status=status, body=body, retry_after=9))
    assert type(error) is Unavailable
    assert error.retry_after_seconds == 9.0


def test_a_redirect_is_not_followed(kit: SignInKit) -> None:
    error = failure(kit, Fault(kind="redirect", endpoint="token", location=f"{kit.simulator.base_url}/elsewhere"))
    assert type(error) is Rejected
    assert kit.simulator.requests.count("unknown") == 0


def test_a_reset_is_a_network_error(kit: SignInKit) -> None:
    assert type(failure(kit, Fault(kind="reset", endpoint="token"))) is NetworkError


def test_an_answer_that_ends_early_is_a_truncated_one(kit: SignInKit) -> None:
    assert type(failure(kit, Fault(kind="truncated", endpoint="token"))) is TruncatedBody


@pytest.mark.parametrize("kind", ["slow_first_byte", "slow_body", "stall"])
def test_an_answer_that_takes_too_long_is_a_timeout(hurried: SignInKit, kind: str) -> None:
    seconds = 0.05 if kind == "slow_body" else 20
    error = failure(hurried, Fault(kind=kind, endpoint="token", seconds=seconds))
    assert type(error) is UpstreamTimeout


ODD: tuple[dict[str, object], ...] = (
    {"expires_in": "soon"},
    {"expires_in": None},
    {"expires_in": []},
    {"expires_in": -5},
    {"expires_in": 10**400},
    {"id_token": "a.W10.c"},
    {"id_token": "a.bnVsbA.c"},
    {"client_info": "garbage"},
    {"client_info": 7},
    {"token_type": [1]},
    {"foci": "1"},
    {"error": None},
    {"refresh_in": "later"},
    {"refresh_in": 10**400},
    {"refresh_in": math.inf},
    {"refresh_in": math.nan},
)


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: json.dumps(odd)[:40])
def test_an_odd_answer_never_loses_the_new_refresh_token(kit: SignInKit, odd: dict[str, object]) -> None:
    answer = {"access_token": "access", "refresh_token": "refresh", "expires_in": 3600, **odd}
    kit.simulator.faults.add(Fault(kind="replace_body", endpoint="token", content=json.dumps(answer).encode()))
    entra = kit.entra()
    grant = redeem(kit, entra)
    assert grant.access_token.reveal() == "access"
    assert grant.refresh_token == Secret("refresh")
    assert 0 < grant.lifetime_seconds <= 3600
    kit.simulator.faults.clear()
    assert redeem(kit, entra).refresh_token


@pytest.mark.parametrize(
    "odd", [{"id_token": "garbage"}, {"id_token": 5}, {"scope": 7}], ids=lambda odd: json.dumps(odd)[:40]
)
def test_an_answer_that_makes_msal_raise_is_a_payload_error(kit: SignInKit, odd: dict[str, object]) -> None:
    answer = {"access_token": "access", "refresh_token": "refresh", "expires_in": 3600, **odd}
    kit.simulator.faults.add(Fault(kind="replace_body", endpoint="token", content=json.dumps(answer).encode()))
    entra = kit.entra()
    with pytest.raises(PayloadError):
        redeem(kit, entra)
    kit.simulator.faults.clear()
    assert redeem(kit, entra).refresh_token


def test_a_lifetime_that_is_written_as_text_is_read(kit: SignInKit) -> None:
    kit.simulator.faults.add(
        Fault(kind="replace_body", endpoint="token", content=b'{"access_token": "a", "expires_in": "3599"}')
    )
    assert redeem(kit).lifetime_seconds == 3599.0


@pytest.mark.parametrize("token", [5, "", [], "two\r\nlines", "\ud800", "gr\u00fcn"])
def test_an_access_token_that_no_header_can_contain_is_a_payload_error(kit: SignInKit, token: object) -> None:
    content = json.dumps({"access_token": token, "expires_in": 3600}).encode()
    error = failure(kit, Fault(kind="replace_body", endpoint="token", content=content))
    assert type(error) is PayloadError


@pytest.mark.parametrize("token", [5, "", {}, "\ud800", "two\nlines"])
def test_a_refresh_token_that_no_file_can_store_is_no_refresh_token(kit: SignInKit, token: object) -> None:
    content = json.dumps({"access_token": "a", "refresh_token": token, "expires_in": 3600}).encode()
    kit.simulator.faults.add(Fault(kind="replace_body", endpoint="token", content=content))
    assert redeem(kit).refresh_token is None


def test_a_character_that_no_file_can_store_is_replaced_in_an_account(kit: SignInKit) -> None:
    id_token = "a.eyJwcmVmZXJyZWRfdXNlcm5hbWUiOiAiYVx1ZDgwMGIifQ.c"  # {"preferred_username": "a\ud800b"}
    content = json.dumps({"access_token": "the-access-token", "expires_in": 3600, "id_token": id_token}).encode()
    kit.simulator.faults.add(Fault(kind="replace_body", endpoint="token", content=content))
    account = redeem(kit).account
    assert account is not None
    assert account.encode()


@pytest.mark.parametrize("kind", ["html", "entra_error", "not_json", "token_without_access_token"])
def test_no_answer_makes_a_library_log_it(kit: SignInKit, log_stream: LogStream, kind: str) -> None:
    """MSAL logs whole token answers; only what stands in the error may be seen."""
    failure(kit, Fault(kind=kind, endpoint="token"))
    assert log_stream.entries == []


def test_a_tenant_that_does_not_exist_is_named_as_the_mistake(kit: SignInKit) -> None:
    entra = kit.entra(authority=f"{kit.simulator.base_url}/11111111-2222-3333-4444-555555555555")
    with pytest.raises(AuthenticationError) as caught:
        redeem(kit, entra)
    assert caught.value.message.startswith("AADSTS90002: ")
    assert "tenant_id" in caught.value.remedy
    assert kit.simulator.requests.count("token") == 0


def test_an_application_that_does_not_exist_is_named_as_the_mistake(kit: SignInKit) -> None:
    identity = Identity("global", kit.simulator.tenant_id, "11111111-2222-3333-4444-555555555555")
    with pytest.raises(AuthenticationError) as caught:
        redeem(kit, kit.entra(identity=identity))
    assert caught.value.message.startswith("AADSTS700016: ")
    assert "client_id" in caught.value.remedy


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(kind="status", endpoint="discovery", status=400, body="html"), AuthenticationError),
        (Fault(kind="status", endpoint="discovery", status=404, body="empty"), AuthenticationError),
        (Fault(kind="entra_error", endpoint="discovery", code=90002), AuthenticationError),
        (Fault(kind="html", endpoint="discovery"), PayloadError),
        (Fault(kind="empty", endpoint="discovery"), PayloadError),
        (Fault(kind="wrong_root", endpoint="discovery", root=[]), PayloadError),
        (Fault(kind="replace_body", endpoint="discovery", content=b"{}"), AuthenticationError),
        (
            Fault(
                kind="replace_body", endpoint="discovery", content=b'{"authorization_endpoint": 5, "token_endpoint": 5}'
            ),
            AuthenticationError,
        ),
        (Fault(kind="throttled", endpoint="discovery"), Throttled),
        (Fault(kind="status", endpoint="discovery", status=503, body="html"), Unavailable),
        (Fault(kind="redirect", endpoint="discovery", location="https://127.0.0.1:1/"), Rejected),
        (Fault(kind="reset", endpoint="discovery"), NetworkError),
        (Fault(kind="truncated", endpoint="discovery"), TruncatedBody),
    ],
    ids=lambda value: f"{value.kind} {value.status or ''}" if isinstance(value, Fault) else "",
)
def test_a_failure_of_the_authority_is_no_refusal_and_is_temporary(
    kit: SignInKit, fault: Fault, kind: type[PollError]
) -> None:
    kit.simulator.faults.add(fault)
    entra = kit.entra()
    with pytest.raises(PollError) as caught:
        redeem(kit, entra)
    assert type(caught.value) is kind
    assert kit.simulator.requests.count("token") == 0
    kit.simulator.faults.clear()
    assert redeem(kit, entra).access_token


@pytest.mark.parametrize("endpoint", ["token_endpoint", "authorization_endpoint"])
@pytest.mark.parametrize("host", ["login.example", "127.0.0.1:1", "127.0.0.1.login.example", "user@login.example"])
def test_an_authority_that_names_another_host_gets_no_secret_sent_there(
    kit: SignInKit, endpoint: str, host: str
) -> None:
    own = f"{kit.simulator.authority}/oauth2/v2.0"
    foreign = f"https://{host}/{kit.simulator.tenant_id}/oauth2/v2.0/x"
    document = {"token_endpoint": f"{own}/token", "authorization_endpoint": f"{own}/authorize"}
    content = json.dumps(document | {endpoint: foreign}).encode()
    error = failure(kit, Fault(kind="replace_body", endpoint="discovery", content=content))
    assert type(error) is Rejected
    assert foreign in error.message
    assert "`authority`" in error.remedy
    with pytest.raises(Rejected):
        kit.entra().start_code_flow("http://localhost:1")
    assert kit.simulator.requests.count("token") == 0


@pytest.mark.parametrize("endpoint", ["token_endpoint", "authorization_endpoint"])
@pytest.mark.parametrize(
    "spelled",
    [
        "https://login.example\\@{host}/x",
        "https://login.example\\.{host}/x",
        "https://user:password@{host}/x",
        "https://{host}/x\r\nX-Header: y",
        "https://{host}/\N{RIGHT-TO-LEFT OVERRIDE}x",
        "https://{host}/" + "x" * 5_000,
    ],
    ids=lambda text: text[:40],
)
def test_an_endpoint_that_a_browser_may_read_otherwise_is_refused(kit: SignInKit, endpoint: str, spelled: str) -> None:
    own = f"{kit.simulator.authority}/oauth2/v2.0"
    host = own.split("/")[2]
    document = {"token_endpoint": f"{own}/token", "authorization_endpoint": f"{own}/authorize"}
    content = json.dumps(document | {endpoint: spelled.format(host=host)}).encode()
    error = failure(kit, Fault(kind="replace_body", endpoint="discovery", content=content))
    assert type(error) is Rejected
    assert "no plain URL" in error.message
    assert error.message.isprintable()
    assert kit.simulator.requests.count("token") == 0


def test_an_authority_may_spell_its_own_host_differently(kit: SignInKit) -> None:
    own = f"{kit.simulator.authority}/oauth2/v2.0".replace("https:", "HTTPS:")
    document = {"token_endpoint": f"{own}/token", "authorization_endpoint": f"{own}/authorize"}
    fault = Fault(kind="replace_body", endpoint="discovery", content=json.dumps(document).encode())
    kit.simulator.faults.add(fault)
    assert redeem(kit).access_token


def test_a_login_host_that_does_not_answer_is_a_network_error(kit: SignInKit) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NetworkError, match="refused"):
        redeem(kit, kit.entra(authority=f"https://127.0.0.1:{port}/{kit.simulator.tenant_id}"))


def test_a_login_host_with_a_certificate_of_another_authority_gets_nothing(kit: SignInKit) -> None:
    with Simulator(seed=8) as impostor:
        entra = kit.entra(authority=f"{impostor.base_url}/{kit.simulator.tenant_id}")
        with pytest.raises(NetworkError, match="not trusted") as caught:
            redeem(kit, entra)
        assert impostor.requests.count() == 0
    assert "http.ca_file" in caught.value.remedy


def test_an_authority_that_the_operator_adds_is_trusted_without_a_restart(simulator: Simulator, tmp_path: Path) -> None:
    with Simulator() as other:
        (tmp_path / "ca.pem").write_bytes(other.ca_pem)
        hopeful = SignInKit(other, tmp_path)
        elsewhere = hopeful.entra(authority=simulator.authority)
        token = Secret(simulator.entra.issue_refresh_token())
        with pytest.raises(NetworkError, match="not trusted"):
            elsewhere.redeem(token)
        (tmp_path / "ca.pem").write_text("no certificate")
        with pytest.raises(NetworkError, match="not trusted"):
            elsewhere.redeem(token)
        (tmp_path / "ca.pem").write_bytes(other.ca_pem + simulator.ca_pem)
        with pytest.raises(AuthenticationError, match="AADSTS"):  # another tenant's client: it was asked
            elsewhere.redeem(token)
        hopeful.close()


REFUSAL = b'{"error": "invalid_grant", "error_description": "AADSTS50173: No."}'


@pytest.mark.parametrize("endpoint", ["token", "discovery"])
@pytest.mark.parametrize("status", [302, 400, 401, 403, 429, 500, 503])
@pytest.mark.parametrize("content", [REFUSAL, b"<html>"])
def test_a_wait_that_is_asked_for_with_any_failure_is_passed_on(
    kit: SignInKit, endpoint: str, status: int, content: bytes
) -> None:
    fault = Fault(kind="replace_body", endpoint=endpoint, status=status, content=content, retry_after="5, 600")
    assert failure(kit, fault).retry_after_seconds == 600.0
