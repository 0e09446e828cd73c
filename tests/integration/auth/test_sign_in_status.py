"""How often Entra ID is asked, what is shown of it, and that many threads make one request."""

import json
import random
import threading
from collections.abc import Callable

import pytest

from exporter.auth.authenticator import Authenticator
from exporter.auth.credential import ClientSecret
from exporter.errors import AuthenticationError, MfaRequired, NetworkError, PollError, RefreshTokenRefused, Unavailable
from exporter.local_text import local_text
from exporter.logs import get_logger
from exporter.messages import line
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.rows import SourceName
from exporter.partner_center.client import ApiPoll, PartnerCenterClient
from exporter.partner_center.retry import RetryPolicy
from exporter.redaction import Secret
from partnercenter_simulator import Fault
from tests.support.clock import FakeClock
from tests.support.logs import LogStream
from tests.support.sign_in import SignInKit

NINETY_DAYS = 90 * 86_400.0
MINUTE = 60.0


@pytest.fixture
def authenticator(timed: SignInKit) -> Authenticator:
    timed.write_seed(timed.simulator.entra.issue_refresh_token())
    return timed.authenticator()


def token_requests(kit: SignInKit) -> int:
    return kit.simulator.requests.count("token")


def fail(kit: SignInKit, *, code: int) -> None:
    kit.simulator.faults.add(Fault(kind="entra_error", endpoint="token", code=code))


def test_the_token_is_renewed_every_15_minutes_at_most(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator
) -> None:
    for _ in range(15):
        authenticator.refresh_if_due()
        clock.advance(MINUTE)
    assert token_requests(timed) == 1
    authenticator.refresh_if_due()
    assert token_requests(timed) == 2


def test_requests_to_entra_id_are_counted_by_status_or_as_errors(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator
) -> None:
    authenticator.refresh_if_due()
    asked = authenticator.requests.total()
    assert authenticator.requests == {"200": asked}
    for fault in (Fault(kind="entra_error", endpoint="token", code=50173), Fault(kind="reset", endpoint="token")):
        timed.simulator.faults.add(fault)
        clock.advance(16 * MINUTE)
        with pytest.raises(PollError):
            authenticator.access_token(rejected=authenticator.access_token())
        timed.simulator.faults.clear()
    assert authenticator.requests["400"] == 1
    assert authenticator.requests["error"] == 1


def test_a_revoked_token_is_noticed_at_the_next_renewal_while_the_access_token_is_still_valid(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator
) -> None:
    authenticator.refresh_if_due()
    timed.simulator.entra.revoke_all()
    authenticator.refresh_if_due()
    assert authenticator.status.up
    clock.advance(15 * MINUTE)
    with pytest.raises(RefreshTokenRefused):
        authenticator.refresh_if_due()
    assert authenticator.status.up is False
    with pytest.raises(RefreshTokenRefused):
        authenticator.access_token()


def test_an_access_token_is_used_until_five_minutes_before_its_expiry(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator
) -> None:
    first = authenticator.access_token()
    clock.advance(timed.simulator.entra.token_lifetime_seconds - 5 * MINUTE - 1)
    assert authenticator.access_token() == first
    clock.advance(1)
    assert authenticator.access_token() != first
    assert token_requests(timed) == 2


@pytest.mark.parametrize("seconds", [-1e6, 1e6])
def test_a_step_of_the_wall_clock_does_not_change_the_age_of_a_token(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator, seconds: float
) -> None:
    authenticator.refresh_if_due()
    clock.jump(seconds)
    authenticator.refresh_if_due()
    authenticator.access_token()
    assert token_requests(timed) == 1


def test_a_rejected_access_token_is_replaced_once(timed: SignInKit, authenticator: Authenticator) -> None:
    first = authenticator.access_token()
    second = authenticator.access_token(rejected=first)
    assert second != first
    assert authenticator.access_token(rejected=first) == second
    assert token_requests(timed) == 2


PASSING = [
    Fault(kind="reset", endpoint="token"),
    Fault(kind="status", endpoint="token", status=503),
    Fault(kind="throttled", endpoint="token"),
    Fault(kind="html", endpoint="token"),
    Fault(kind="entra_error", endpoint="token", code=90033),
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.kind)
def test_while_entra_fails_a_valid_token_is_still_used(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator, log_stream: LogStream, fault: Fault
) -> None:
    token = authenticator.access_token()
    before = authenticator.status
    timed.simulator.faults.add(fault)
    clock.advance(15 * MINUTE)
    authenticator.refresh_if_due()
    assert authenticator.access_token() == token
    assert authenticator.status == before
    (entry,) = log_stream.of("token renewal failed, keeping the previous one")
    assert entry["error"]
    clock.advance(45 * MINUTE)
    with pytest.raises(PollError) as caught:
        authenticator.refresh_if_due()
    assert not isinstance(caught.value, AuthenticationError)
    assert authenticator.status == before


def test_before_the_first_attempt_nothing_is_known(authenticator: Authenticator) -> None:
    status = authenticator.status
    assert (status.partner, status.up, status.account, status.failure) == ("contoso", None, None, None)
    assert (status.token_issued_at, status.token_expires_at) == (None, None)
    assert +authenticator.failures == {}


def test_a_first_attempt_that_gets_no_response_leaves_the_status_unknown(
    timed: SignInKit, authenticator: Authenticator
) -> None:
    timed.simulator.faults.add(Fault(kind="reset", endpoint="discovery"))
    with pytest.raises(NetworkError):
        authenticator.refresh_if_due()
    assert authenticator.status.up is None
    assert +authenticator.failures == {}


def test_a_successful_sign_in_shows_account_and_both_dates(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator
) -> None:
    authenticator.refresh_if_due()
    status = authenticator.status
    assert status.up is True
    assert status.account == timed.simulator.user
    assert status.token_issued_at == clock.time()
    assert status.token_expires_at == clock.time() + NINETY_DAYS
    assert status.failure is None


def test_each_renewal_moves_the_dates(clock: FakeClock, authenticator: Authenticator) -> None:
    authenticator.refresh_if_due()
    clock.advance(3_600.0)
    authenticator.refresh_if_due()
    assert authenticator.status.token_issued_at == clock.time()


def test_a_refused_token_has_no_dates_any_more_and_a_new_one_has(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator
) -> None:
    authenticator.refresh_if_due()
    timed.simulator.entra.revoke_all(code=700082)
    clock.advance(3_600.0)
    with pytest.raises(RefreshTokenRefused):
        authenticator.refresh_if_due()
    status = authenticator.status
    assert (status.up, status.token_issued_at, status.token_expires_at) == (False, None, None)
    assert status.failure is not None
    assert status.failure.reason == "auth"
    assert status.failure.message.startswith("AADSTS700082")
    assert status.failure.remedy
    assert status.failure.correlation_id
    timed.put(timed.simulator.entra.issue_refresh_token())
    authenticator.refresh_if_due()
    assert authenticator.status.up is True
    assert authenticator.status.failure is None
    assert authenticator.status.token_issued_at == clock.time()


def test_a_refused_client_credential_leaves_the_tokens_dates(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator
) -> None:
    authenticator.refresh_if_due()
    issued_at = authenticator.status.token_issued_at
    fail(timed, code=7000222)
    clock.advance(3_600.0)
    with pytest.raises(AuthenticationError):
        authenticator.refresh_if_due()
    assert authenticator.status.up is False
    assert authenticator.status.token_issued_at == issued_at


def test_a_revoked_token_has_no_dates_whatever_is_refused_after_it(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator
) -> None:
    authenticator.refresh_if_due()
    for code in (50173, 7000222):
        timed.simulator.faults.clear()
        fail(timed, code=code)
        clock.advance(3_600.0)
        with pytest.raises(AuthenticationError):
            authenticator.refresh_if_due()
        assert authenticator.status.token_issued_at is None
        assert authenticator.status.token_expires_at is None


def test_a_network_failure_after_a_refusal_leaves_the_refusal(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator
) -> None:
    fail(timed, code=50173)
    with pytest.raises(RefreshTokenRefused):
        authenticator.refresh_if_due()
    refused = authenticator.status
    timed.simulator.faults.clear()
    timed.simulator.faults.add(Fault(kind="status", endpoint="token", status=503))
    clock.advance(MINUTE)
    with pytest.raises(Unavailable):
        authenticator.refresh_if_due()
    assert authenticator.status == refused


def test_a_second_factor_that_the_api_misses_counts_until_the_api_accepts(
    clock: FakeClock, authenticator: Authenticator
) -> None:
    authenticator.refresh_if_due()
    authenticator.report_api(
        MfaRequired(line("the API wants a second factor"), remedy=line("sign in"), error="mfa_required")
    )
    refused = authenticator.status
    assert refused.up is False
    assert refused.failure is not None
    assert refused.failure.reason == "mfa"
    clock.advance(3_600.0)
    authenticator.refresh_if_due()
    assert authenticator.status.up is False
    authenticator.report_api(None)
    assert authenticator.status.up is True
    assert authenticator.status.failure is None
    assert authenticator.status.account == refused.account
    assert authenticator.status.token_issued_at == clock.time()


def test_an_api_that_accepts_an_old_token_does_not_hide_entras_refusal(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator
) -> None:
    authenticator.refresh_if_due()
    fail(timed, code=50173)
    clock.advance(3_600.0)
    with pytest.raises(RefreshTokenRefused):
        authenticator.refresh_if_due()
    authenticator.report_api(None)
    assert authenticator.status.up is False


@pytest.mark.parametrize("what", ["a token", "a seed", "a secret"])
def test_a_replaced_token_is_tried_at_once_although_the_last_renewal_is_recent(timed: SignInKit, what: str) -> None:
    """A new sign-in after the API missed a second factor must not wait for a quarter of an hour."""
    secret_file = timed.folder / "client-secret"
    secret_file.write_text(timed.simulator.client_secret)
    timed.put(timed.simulator.entra.issue_refresh_token(mfa=False))
    timed.write_seed("an old seed")
    authenticator = timed.authenticator(entra=timed.entra(ClientSecret(file=secret_file)))
    authenticator.refresh_if_due()
    authenticator.refresh_if_due()
    assert token_requests(timed) == 1
    changes: dict[str, Callable[[], object]] = {
        "a token": lambda: timed.put(timed.simulator.entra.issue_refresh_token()),
        "a seed": lambda: timed.write_seed("a new seed"),
        "a secret": lambda: secret_file.write_text(f"{timed.simulator.client_secret}\n"),
    }
    changes[what]()
    authenticator.refresh_if_due()
    authenticator.refresh_if_due()
    assert token_requests(timed) == 2


def test_failures_are_counted_by_oauth_error_and_unknown_ones_together(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator
) -> None:
    def attempt() -> None:
        clock.advance(MINUTE)
        with pytest.raises(AuthenticationError):
            authenticator.refresh_if_due()

    for code in (50173, 50076, 7000215, 7000215, 50158):
        fail(timed, code=code)
        attempt()
        timed.simulator.faults.clear()
    for number in range(5):
        content = f'{{"error": "word {number}", "error_description": "x"}}'.encode()
        timed.simulator.faults.add(Fault(kind="replace_body", endpoint="token", content=content))
        attempt()
        timed.simulator.faults.clear()
    assert +authenticator.failures == {"invalid_grant": 2, "invalid_client": 2, "interaction_required": 1, "other": 5}


def at_once(calls: int, action: Callable[[], object]) -> list[object]:
    """Call from many threads at the same moment; return each result or error."""
    barrier = threading.Barrier(calls)
    results: list[object] = []

    def call() -> None:
        barrier.wait()
        try:
            results.append(action())
        except PollError as error:
            results.append(error)

    threads = [threading.Thread(target=call) for _ in range(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("ask", [Authenticator.refresh_if_due, Authenticator.access_token])
def test_many_threads_make_one_token_request(
    timed: SignInKit, authenticator: Authenticator, ask: Callable[[Authenticator], object]
) -> None:
    results = at_once(16, lambda: ask(authenticator))
    assert len(results) == 16
    assert not [result for result in results if isinstance(result, PollError)]
    assert token_requests(timed) == 1
    assert timed.simulator.requests.count("discovery") == 1


def test_many_threads_whose_token_was_rejected_make_one_token_request(
    timed: SignInKit, authenticator: Authenticator
) -> None:
    rejected = authenticator.access_token()
    results = at_once(16, lambda: authenticator.access_token(rejected=rejected))
    assert {result.reveal() for result in results if isinstance(result, Secret)} == {
        authenticator.access_token().reveal()
    }
    assert len(results) == 16
    assert token_requests(timed) == 2


def test_a_refusal_is_remembered_for_all_threads_for_half_a_minute(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator
) -> None:
    timed.simulator.entra.revoke_all()
    results = at_once(16, authenticator.refresh_if_due)
    assert [type(result) for result in results] == [RefreshTokenRefused] * 16
    assert token_requests(timed) == 1
    assert +authenticator.failures == {"invalid_grant": 1}
    clock.advance(31.0)
    with pytest.raises(RefreshTokenRefused):
        authenticator.refresh_if_due()
    assert token_requests(timed) == 2


def test_a_refusal_is_forgotten_once_its_cause_is_gone(timed: SignInKit, authenticator: Authenticator) -> None:
    timed.simulator.entra.revoke_all()
    with pytest.raises(RefreshTokenRefused):
        authenticator.refresh_if_due()
    timed.write_seed(timed.simulator.entra.issue_refresh_token())
    authenticator.refresh_if_due()
    assert authenticator.status.up is True


def test_a_refusal_shared_by_two_sources_has_each_source_s_own_correlation_id(
    timed: SignInKit, clock: FakeClock
) -> None:
    client = PartnerCenterClient(
        partner=line("contoso"),
        api_url=local_text(timed.simulator.base_url),
        tokens=timed.authenticator(seeded=False),
        transport=timed.transport,
        observer=ExporterMetrics(revision="test"),
        clock=clock,
        retry=RetryPolicy(),
        rng=random.Random(1),  # noqa: S311  it spreads retries
    )
    raised: list[AuthenticationError] = []
    for source in SourceName:
        poll = ApiPoll(client, source, stop=threading.Event(), log=get_logger())
        with pytest.raises(AuthenticationError, match="no refresh token") as caught:
            poll.sign_in()
        assert caught.value.exchange.correlation_id == poll.correlation_id
        raised.append(caught.value)
        clock.advance(20.0)
    first, second = raised
    assert first.exchange.correlation_id != second.exchange.correlation_id


def test_a_network_failure_is_not_shared_with_other_sources(timed: SignInKit, authenticator: Authenticator) -> None:
    timed.simulator.faults.add(Fault(kind="reset", endpoint="token", times=1))
    with pytest.raises(NetworkError):
        authenticator.refresh_if_due()
    authenticator.refresh_if_due()
    assert authenticator.status.up is True


@pytest.mark.parametrize("status", [400, 429, 503])
def test_a_wait_that_entra_asks_for_holds_for_all_sources_and_even_for_a_new_token(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator, status: int
) -> None:
    content = b'{"error": "invalid_grant", "error_description": "AADSTS50173: No."}'
    timed.simulator.faults.add(
        Fault(kind="replace_body", endpoint="token", status=status, content=content, retry_after=600)
    )
    with pytest.raises(PollError):
        authenticator.refresh_if_due()
    timed.simulator.faults.clear()
    clock.advance(400.0)
    timed.write_seed(timed.simulator.entra.issue_refresh_token())
    with pytest.raises(PollError) as caught:
        authenticator.refresh_if_due()
    assert caught.value.retry_after_seconds == pytest.approx(200.0)
    assert token_requests(timed) == 1
    clock.advance(200.0)
    authenticator.refresh_if_due()
    assert token_requests(timed) == 2
    assert authenticator.status.up


def test_a_wait_that_entra_asks_for_holds_although_the_previous_token_is_still_used(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator
) -> None:
    authenticator.refresh_if_due()
    timed.simulator.faults.add(Fault(kind="throttled", endpoint="token", retry_after=600))
    clock.advance(15 * MINUTE)
    for _ in range(5):
        authenticator.refresh_if_due()
        authenticator.access_token()
        clock.advance(MINUTE)
    assert token_requests(timed) == 2


@pytest.mark.parametrize("expires_in", [300, 299.5, "300", 120, 61, 60, 1, 0, -1, 0.001, True, None, "soon", [], 1e300])
def test_a_short_or_odd_life_needs_no_token_request_a_page(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator, expires_in: object
) -> None:
    answer = {"access_token": "access", "refresh_token": "refresh", "expires_in": expires_in}
    content = json.dumps(answer).encode()
    timed.simulator.faults.add(Fault(kind="replace_body", endpoint="token", content=content))
    authenticator.refresh_if_due()
    for _page in range(20):
        authenticator.access_token()
        clock.advance(1.0)
    assert token_requests(timed) == 1


def test_a_life_that_is_not_given_needs_no_token_request_a_page(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator
) -> None:
    content = b'{"access_token": "access", "refresh_token": "refresh"}'
    timed.simulator.faults.add(Fault(kind="replace_body", endpoint="token", content=content))
    for _page in range(20):
        authenticator.access_token()
        clock.advance(1.0)
    assert token_requests(timed) == 1


def restarted(kit: SignInKit) -> Authenticator:
    """Return the authenticator of the next run, which has asked nobody yet."""
    after = kit.authenticator(seeded=False)
    after.restore()
    return after


def test_what_a_sign_in_showed_a_restart_shows_at_once(timed: SignInKit, authenticator: Authenticator) -> None:
    authenticator.refresh_if_due()
    asked = timed.simulator.requests.count()
    assert restarted(timed).status == authenticator.status
    assert authenticator.status.up
    assert timed.simulator.requests.count() == asked


@pytest.mark.parametrize("code", [50173, 7000222, 50076, 53003, 1234567])
def test_a_refusal_is_shown_as_it_was_after_a_restart(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator, code: int
) -> None:
    authenticator.refresh_if_due()
    fail(timed, code=code)
    clock.advance(3_600.0)
    with pytest.raises(AuthenticationError):
        authenticator.refresh_if_due()
    after = restarted(timed)
    assert after.status == authenticator.status
    assert after.status.up is False
    assert after.status.failure is not None
    assert (after.status.token_expires_at is None) == (code == 50173)
    timed.simulator.faults.clear()
    after.refresh_if_due()
    assert after.status.up is True
    assert restarted(timed).status == after.status


def test_a_second_factor_that_the_api_misses_counts_over_renewals_and_restarts(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator
) -> None:
    authenticator.refresh_if_due()
    authenticator.report_api(MfaRequired(line("the API wants MFA"), remedy=line("sign in"), error="mfa_required"))
    clock.advance(3_600.0)
    authenticator.refresh_if_due()
    after = restarted(timed)
    assert after.status == authenticator.status
    assert after.status.up is False
    after.refresh_if_due()
    assert after.status.up is False
    after.report_api(None)
    assert restarted(timed).status.up is True


def test_a_failure_without_a_token_is_shown_after_a_restart_too(timed: SignInKit) -> None:
    before = timed.authenticator(seeded=False)
    with pytest.raises(AuthenticationError):
        before.refresh_if_due()
    assert restarted(timed).status == before.status
    assert before.status.up is False


def test_a_sign_in_while_nothing_runs_ends_a_refusal(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator
) -> None:
    authenticator.refresh_if_due()
    timed.simulator.entra.revoke_all()
    clock.advance(3_600.0)
    with pytest.raises(RefreshTokenRefused):
        authenticator.refresh_if_due()
    timed.put(timed.simulator.entra.issue_refresh_token(), issued_at=clock.time())
    after = restarted(timed)
    assert (after.status.up, after.status.failure) == (True, None)
    assert after.status.token_issued_at == clock.time()


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"{}", b'{"identity": 5}', b"[" * 100_000])
@pytest.mark.parametrize("issued_at", [None, 5.0])
def test_state_without_a_usable_record_shows_the_token_s_own_dates(
    timed: SignInKit, content: bytes | None, issued_at: float | None
) -> None:
    """As an earlier version left it: only a sign-in that was accepted has set the date."""
    timed.put(timed.simulator.entra.issue_refresh_token(), issued_at=issued_at)
    if content is not None:
        timed.directory.replace("polls/contoso.sign-in.json", content)
    status = restarted(timed).status
    assert status.up is (True if issued_at else None)
    assert status.token_issued_at == issued_at
    assert status.token_expires_at == (issued_at + NINETY_DAYS if issued_at else None)


def test_a_record_that_can_not_be_saved_is_saved_later(
    timed: SignInKit, clock: FakeClock, authenticator: Authenticator
) -> None:
    authenticator.refresh_if_due()
    fail(timed, code=50173)
    clock.advance(3_600.0)
    root, aside = timed.directory.root, timed.folder / "aside"
    root.rename(aside)
    root.write_text("in the way")
    with pytest.raises(AuthenticationError):
        authenticator.refresh_if_due()
    root.unlink()
    aside.rename(root)
    assert timed.directory.retry() == []
    assert restarted(timed).status == authenticator.status


def test_no_token_is_in_a_record(timed: SignInKit, authenticator: Authenticator) -> None:
    authenticator.refresh_if_due()
    content = (timed.directory.root / "polls/contoso.sign-in.json").read_text()
    assert not [token for token in timed.simulator.entra.issued_refresh_tokens if token in content]


@pytest.mark.parametrize("compliant", [True, False])
def test_what_the_api_said_of_mfa_is_known_after_a_restart(
    timed: SignInKit, authenticator: Authenticator, *, compliant: bool
) -> None:
    authenticator.refresh_if_due()
    assert authenticator.status.mfa_compliant is None
    authenticator.report_mfa(compliant=not compliant)
    authenticator.report_mfa(compliant=compliant)
    after = restarted(timed)
    assert after.status == authenticator.status
    assert (after.status.up, after.status.mfa_compliant) == (True, compliant)
    after.refresh_if_due()
    assert after.status.mfa_compliant is compliant


def test_what_the_api_said_of_mfa_is_not_said_of_the_token_of_another_sign_in(
    timed: SignInKit, authenticator: Authenticator
) -> None:
    authenticator.refresh_if_due()
    authenticator.report_mfa(compliant=False)
    timed.put(timed.simulator.entra.issue_refresh_token())
    assert restarted(timed).status.mfa_compliant is None
