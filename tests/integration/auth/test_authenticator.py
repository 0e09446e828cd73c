"""Which refresh token is used, and that its successor is never lost."""

import json
import os
import random
import threading
from pathlib import Path

import pytest

from exporter.auth.authenticator import Authenticator
from exporter.auth.token_store import TokenRecord, TokenStore
from exporter.errors import AuthenticationError, MfaRequired, NetworkError, RefreshTokenRefused
from exporter.local_text import local_text
from exporter.logs import get_logger
from exporter.messages import line
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.rows import SourceName
from exporter.model.status import Identity
from exporter.partner_center.client import ApiPoll, PartnerCenterClient
from exporter.partner_center.retry import RetryPolicy
from partnercenter_simulator import Fault
from tests.support.clock import FakeClock
from tests.support.logs import LogStream
from tests.support.sign_in import SignInKit

USAGE = "/v1/analytics/licenses/usage"
A_POLL_LATER_SECONDS = 3600.0


def stored(kit: SignInKit) -> TokenRecord:
    record = kit.store().load()
    assert record is not None
    return record


def token_requests(kit: SignInKit) -> int:
    return kit.simulator.requests.count("token")


def poll(kit: SignInKit, authenticator: Authenticator) -> None:
    """Sign in and ask for usage, as a poll does."""
    client = PartnerCenterClient(
        partner=line("contoso"),
        api_url=local_text(kit.simulator.base_url),
        tokens=authenticator,
        transport=kit.transport,
        observer=ExporterMetrics(revision="test"),
        clock=kit.clock,
        retry=RetryPolicy(attempts=1),
        rng=random.Random(1),  # noqa: S311  it spreads retries
    )
    opened = ApiPoll(client, SourceName.USAGE, stop=threading.Event(), log=get_logger())
    opened.sign_in()
    opened.get(USAGE)


def test_a_stored_token_is_used_and_replaced_by_its_successor(timed: SignInKit, clock: FakeClock) -> None:
    timed.put(timed.simulator.entra.issue_refresh_token(), issued_at=1.0)
    timed.authenticator().refresh_if_due()
    after = stored(timed)
    assert after.refresh_token == timed.simulator.entra.issued_refresh_tokens[-1]
    assert after.issued_at == clock.time()
    assert after.account == timed.simulator.user
    assert timed.simulator.entra.issued_refresh_token_count == 2


@pytest.mark.parametrize("end", ["", "\n", "\r\n", " \n\n"])
def test_a_seed_is_used_with_or_without_a_last_line_break(timed: SignInKit, end: str) -> None:
    seed = timed.simulator.entra.issue_refresh_token()
    timed.write_seed(seed, end=end)
    timed.authenticator().refresh_if_due()
    assert stored(timed).refresh_token == timed.simulator.entra.issued_refresh_tokens[-1]
    assert timed.seed_file.read_bytes().decode() == seed + end


def test_a_stored_token_is_preferred_to_the_seed(timed: SignInKit) -> None:
    timed.put(timed.simulator.entra.issue_refresh_token())
    timed.write_seed("of no use")
    timed.authenticator().refresh_if_due()
    assert token_requests(timed) == 1


def test_the_next_program_continues_with_the_renewed_token(timed: SignInKit) -> None:
    seed = timed.simulator.entra.issue_refresh_token()
    timed.write_seed(seed)
    timed.authenticator().refresh_if_due()
    timed.simulator.entra.revoke(seed)
    timed.authenticator().refresh_if_due()
    assert timed.simulator.entra.issued_refresh_token_count == 3


@pytest.mark.parametrize("seed", ["", "\n", None])
def test_without_any_token_the_message_says_how_to_sign_in(timed: SignInKit, seed: str | None) -> None:
    if seed is not None:
        timed.write_seed(seed, end="")
    with pytest.raises(AuthenticationError, match="no refresh token yet") as caught:
        timed.authenticator(seeded=seed is not None).refresh_if_due()
    assert "partnercenter-exporter login --partner contoso" in caught.value.remedy
    assert timed.simulator.requests.count() == 0


def test_a_seed_file_that_is_missing_is_named(timed: SignInKit) -> None:
    with pytest.raises(AuthenticationError, match="refresh-token: No such file"):
        timed.authenticator().refresh_if_due()


def test_an_answer_without_a_new_token_leaves_the_old_one_and_its_date(timed: SignInKit) -> None:
    before = timed.put(timed.simulator.entra.issue_refresh_token(), issued_at=5.0)
    timed.simulator.faults.add(Fault(kind="token_without_refresh_token", endpoint="token"))
    authenticator = timed.authenticator()
    authenticator.refresh_if_due()
    assert (stored(timed).refresh_token, stored(timed).issued_at) == (before.refresh_token, 5.0)
    assert authenticator.status.token_issued_at == 5.0


class NotingStore(TokenStore):
    """The real store; `saved` holds every refresh token in the order in which it was on the disk."""

    saved: list[str]

    def save(self, record: TokenRecord, *, replacing: TokenRecord | None) -> bool:
        """Save, and note that it is done."""
        done = super().save(record, replacing=replacing)
        self.saved.append(record.refresh_token)
        return done


def test_a_successor_is_on_the_disk_before_its_access_token_is_used(timed: SignInKit, clock: FakeClock) -> None:
    timed.put(timed.simulator.entra.issue_refresh_token())
    store = NotingStore(timed.directory, timed.registration())
    store.saved = []
    authenticator = timed.authenticator(store=store)
    at_each_use: list[tuple[str, str]] = []

    def look(_method: str, url: str) -> None:
        if USAGE in url:
            at_each_use.append((json.loads(store.path.read_bytes())["refresh_token"], store.saved[-1]))

    timed.transport.watchers.append(look)
    for _ in range(5):
        poll(timed, authenticator)
        clock.advance(A_POLL_LATER_SECONDS)
    issued = timed.simulator.entra.issued_refresh_tokens[1:]
    assert at_each_use == [(token, token) for token in issued]
    assert len(issued) == 5


def test_a_refused_token_is_replaced_by_a_new_seed(timed: SignInKit, log_stream: LogStream) -> None:
    dead = timed.simulator.entra.issue_refresh_token()
    timed.put(dead, seed_digest="of another content")
    timed.simulator.entra.revoke(dead)
    timed.write_seed(timed.simulator.entra.issue_refresh_token())
    authenticator = timed.authenticator()
    authenticator.refresh_if_due()
    assert authenticator.status.up
    assert +authenticator.failures == {}
    assert stored(timed).refresh_token == timed.simulator.entra.issued_refresh_tokens[-1]
    assert len(log_stream.of("stored refresh token refused, trying the seed")) == 1


@pytest.mark.parametrize("code", [700082, 70043, 9002313, 50076, 53003, 50057, 65001])
def test_after_every_refusal_of_the_token_or_its_account_a_new_seed_is_used(timed: SignInKit, code: int) -> None:
    stale = timed.simulator.entra.issue_refresh_token()
    timed.put(stale)
    timed.simulator.entra.revoke(stale, code=code)
    timed.write_seed(timed.simulator.entra.issue_refresh_token())
    authenticator = timed.authenticator()
    authenticator.refresh_if_due()
    assert authenticator.status.up


def test_a_refusal_of_the_application_does_not_use_up_the_seed(timed: SignInKit) -> None:
    before = timed.put(timed.simulator.entra.issue_refresh_token())
    timed.write_seed(timed.simulator.entra.issue_refresh_token())
    timed.simulator.faults.add(Fault(kind="entra_error", endpoint="token", code=7000215))
    with pytest.raises(AuthenticationError):
        timed.authenticator().refresh_if_due()
    assert token_requests(timed) == 1
    assert stored(timed) == before


def test_a_seed_that_was_taken_once_is_not_tried_again(timed: SignInKit, clock: FakeClock) -> None:
    timed.write_seed(timed.simulator.entra.issue_refresh_token())
    authenticator = timed.authenticator()
    authenticator.refresh_if_due()
    clock.advance(A_POLL_LATER_SECONDS)
    timed.simulator.entra.revoke_all()
    with pytest.raises(RefreshTokenRefused):
        authenticator.refresh_if_due()
    assert token_requests(timed) == 2
    timed.write_seed(timed.simulator.entra.issue_refresh_token())
    authenticator.refresh_if_due()
    assert token_requests(timed) == 4
    assert authenticator.status.up


def test_a_seed_file_that_is_gone_does_not_hide_the_refusal(timed: SignInKit) -> None:
    """Seeds are deleted once they are taken: what helps then is a new sign-in, not the file."""
    dead = timed.simulator.entra.issue_refresh_token()
    timed.put(dead)
    timed.simulator.entra.revoke(dead)
    with pytest.raises(RefreshTokenRefused, match="AADSTS50173"):
        timed.authenticator().refresh_if_due()


def test_if_the_new_seed_is_refused_too_its_refusal_is_shown(timed: SignInKit) -> None:
    dead, seed = (timed.simulator.entra.issue_refresh_token() for _ in range(2))
    timed.put(dead)
    timed.write_seed(seed)
    timed.simulator.entra.revoke(dead)
    timed.simulator.entra.revoke(seed, code=50076)
    with pytest.raises(MfaRequired, match="AADSTS50076"):
        timed.authenticator().refresh_if_due()
    assert stored(timed).refresh_token == dead


OTHERS = {
    "tenant": Identity("global", "another tenant", "{client}"),
    "client": Identity("global", "{tenant}", "another client"),
    "cloud": Identity("china", "{tenant}", "{client}"),
}


def identity_like(kit: SignInKit, pattern: Identity) -> Identity:
    own = kit.identity
    return Identity(
        pattern.cloud, pattern.tenant_id.format(tenant=own.tenant_id), pattern.client_id.format(client=own.client_id)
    )


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_token_of_another_application_is_not_used_and_that_is_logged(
    timed: SignInKit, log_stream: LogStream, other: Identity
) -> None:
    theirs = timed.put(timed.simulator.entra.issue_refresh_token(), identity=identity_like(timed, other))
    with pytest.raises(AuthenticationError, match="no refresh token yet"):
        timed.authenticator(seeded=False).refresh_if_due()
    assert timed.simulator.requests.count() == 0
    assert stored(timed) == theirs
    (entry,) = log_stream.of("stored token belongs to another application, not used")
    assert entry["file"] == str(timed.store().path)


def test_a_token_of_another_application_is_replaced_by_the_seed(timed: SignInKit) -> None:
    timed.put("theirs", identity=identity_like(timed, OTHERS["client"]))
    timed.write_seed(timed.simulator.entra.issue_refresh_token())
    timed.authenticator().refresh_if_due()
    assert stored(timed).identity == timed.identity


def test_an_application_s_ids_are_compared_ignoring_case(timed: SignInKit) -> None:
    own = timed.identity
    timed.put(
        timed.simulator.entra.issue_refresh_token(),
        identity=Identity("global", own.tenant_id.upper(), own.client_id.upper()),
    )
    timed.authenticator(seeded=False).refresh_if_due()
    assert token_requests(timed) == 1


def spoil(kit: SignInKit, how: str) -> None:
    path = kit.store().path
    if how == "damaged":
        path.write_bytes(b'{"refresh_token": "cut o')
    elif how == "foreign":
        os.chown(path, 12_345, -1)
    else:
        path.chmod(0o644)


@pytest.mark.parametrize("how", ["damaged", "foreign", "open to all"])
def test_a_store_that_cannot_be_trusted_is_not_used_and_left_as_it_is(timed: SignInKit, how: str) -> None:
    if how == "foreign" and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    timed.put(timed.simulator.entra.issue_refresh_token())
    timed.write_seed(timed.simulator.entra.issue_refresh_token())
    spoil(timed, how)
    path = timed.store().path
    before, mode = path.read_bytes(), path.stat().st_mode
    authenticator = timed.authenticator()
    with pytest.raises(AuthenticationError, match="is not used") as caught:
        authenticator.refresh_if_due()
    assert "partnercenter-exporter login --partner contoso" in caught.value.remedy
    assert authenticator.status.up is False
    assert timed.simulator.requests.count() == 0
    assert (path.read_bytes(), path.stat().st_mode) == (before, mode)


def test_a_store_that_becomes_invalid_while_running_leaves_the_token_in_memory(
    timed: SignInKit, clock: FakeClock, log_stream: LogStream
) -> None:
    timed.put(timed.simulator.entra.issue_refresh_token())
    authenticator = timed.authenticator()
    authenticator.refresh_if_due()
    spoil(timed, "damaged")
    before = timed.store().path.read_bytes()
    for _ in range(3):
        clock.advance(A_POLL_LATER_SECONDS)
        authenticator.refresh_if_due()
    assert authenticator.status.up
    assert authenticator.tokens.unsaved
    assert timed.store().path.read_bytes() == before
    events = log_stream.of("token not saved, kept in memory")
    assert len(events) == 3
    assert "move the file away" in events[0]["remedy"]
    assert "partnercenter-exporter login" not in events[0]["remedy"]
    timed.store().path.unlink()
    authenticator.retry_save()
    assert not authenticator.tokens.unsaved
    assert stored(timed).refresh_token == timed.simulator.entra.issued_refresh_tokens[-1]


def block(folder: Path) -> Path:
    """Put a file in the place of the state directory; return where that went."""
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.write_text("in the way")
    return aside


@pytest.mark.parametrize("comes_back", ["as it was", "empty"])
def test_a_token_that_cannot_be_saved_is_used_from_memory_until_it_can(
    timed: SignInKit, clock: FakeClock, log_stream: LogStream, comes_back: str
) -> None:
    timed.put(timed.simulator.entra.issue_refresh_token())
    authenticator = timed.authenticator()
    authenticator.refresh_if_due()
    aside = block(timed.directory.root)
    for _ in range(3):
        clock.advance(A_POLL_LATER_SECONDS)
        poll(timed, authenticator)
    authenticator.retry_save()
    assert authenticator.tokens.unsaved
    assert authenticator.status.up
    assert log_stream.of("token not saved, kept in memory")[-1]["remedy"]
    timed.directory.root.unlink()
    if comes_back == "as it was":
        aside.rename(timed.directory.root)
    authenticator.retry_save()
    assert not authenticator.tokens.unsaved
    newest = timed.simulator.entra.issued_refresh_tokens[-1]
    assert stored(timed).refresh_token == newest
    clock.advance(A_POLL_LATER_SECONDS)
    authenticator.refresh_if_due()
    assert token_requests(timed) == 5


def with_an_unsaved_token(kit: SignInKit) -> Authenticator:
    """Return an authenticator whose newest token is in memory only; the state directory is empty then."""
    kit.put(kit.simulator.entra.issue_refresh_token())
    authenticator = kit.authenticator()
    authenticator.refresh_if_due()
    block(kit.directory.root)
    authenticator.access_token(rejected=authenticator.access_token())
    assert authenticator.tokens.unsaved
    kit.directory.root.unlink()
    return authenticator


def test_a_token_that_could_not_be_saved_passes_to_the_successor_after_a_reload(timed: SignInKit) -> None:
    before = with_an_unsaved_token(timed)
    heir = timed.authenticator()
    heir.inherit(before)
    assert heir.tokens.unsaved
    heir.retry_save()
    assert not heir.tokens.unsaved
    assert stored(timed).refresh_token == timed.simulator.entra.issued_refresh_tokens[-1]


def test_a_token_that_could_not_be_saved_is_the_one_that_the_successor_renews(timed: SignInKit) -> None:
    before = with_an_unsaved_token(timed)
    heir = timed.authenticator()
    heir.inherit(before)
    heir.refresh_if_due()
    assert not heir.tokens.unsaved
    assert stored(timed).refresh_token == timed.simulator.entra.issued_refresh_tokens[-1]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("writable", [True, False], ids=["saved", "unsaved"])
@pytest.mark.parametrize("eager", [False, True], ids=["an idle heir", "an heir that renews meanwhile"])
def test_a_renewal_that_is_under_way_at_a_reload_is_waited_for_by_nobody_and_loses_no_token(
    timed: SignInKit, *, writable: bool, eager: bool
) -> None:
    timed.put(timed.simulator.entra.issue_refresh_token())
    before, heir = timed.authenticator(), timed.authenticator()

    def take_over(method: str, _url: str) -> None:
        if method == "POST":
            timed.transport.watchers.clear()
            heir.inherit(before)
            if not writable:
                block(timed.directory.root)
            if eager:
                heir.refresh_if_due()

    timed.transport.watchers.append(take_over)
    before.access_token()
    if not writable:
        assert heir.tokens.unsaved
        timed.directory.root.unlink()
        (timed.folder / "aside").rename(timed.directory.root)
        heir.retry_save()
    assert not heir.tokens.unsaved
    current = heir.tokens.current
    assert current is not None
    assert stored(timed) == current
    assert current.refresh_token in timed.simulator.entra.issued_refresh_tokens[1:]


def test_a_token_is_not_passed_to_another_application(timed: SignInKit) -> None:
    before = with_an_unsaved_token(timed)
    other = timed.authenticator(entra=timed.entra(identity=identity_like(timed, OTHERS["client"])))
    other.inherit(before)
    assert not other.tokens.unsaved


class BusyStore(TokenStore):
    """The real store; `during` is called in the middle of each save."""

    def save(self, record: TokenRecord, *, replacing: TokenRecord | None) -> bool:
        """Call, and save."""
        self.during()
        return super().save(record, replacing=replacing)

    def during(self) -> None:
        """Do nothing yet."""


def test_a_token_that_is_being_saved_does_not_count_as_unsaved(timed: SignInKit) -> None:
    """Or the state would seem unwritable to a scrape that comes just then."""
    timed.put(timed.simulator.entra.issue_refresh_token())
    seen: list[bool] = []

    class Looking(BusyStore):
        def during(self) -> None:
            seen.append(authenticator.tokens.unsaved)

    authenticator = timed.authenticator(store=Looking(timed.directory, timed.registration()))
    authenticator.refresh_if_due()
    assert seen == [False]


@pytest.mark.timeout(20)
def test_saving_again_waits_for_no_renewal(timed: SignInKit) -> None:
    """Who saves again also looks after the poll threads: a slow login host must not keep them waiting."""
    authenticator = with_an_unsaved_token(timed)
    unsaved_during: list[bool] = []

    def save(method: str, _url: str) -> None:
        if method == "POST":
            authenticator.retry_save()
            unsaved_during.append(authenticator.tokens.unsaved)

    timed.transport.watchers.append(save)
    authenticator.access_token(rejected=authenticator.access_token())
    assert unsaved_during == [True]
    assert not authenticator.tokens.unsaved


def test_a_login_during_a_renewal_is_not_overwritten(timed: SignInKit, clock: FakeClock) -> None:
    timed.put(timed.simulator.entra.issue_refresh_token())
    of_the_login = timed.simulator.entra.issue_refresh_token()
    authenticator = timed.authenticator()

    def log_in(method: str, _url: str) -> None:
        if method == "POST":
            timed.transport.watchers.clear()
            timed.put(of_the_login, issued_at=9.0)

    timed.transport.watchers.append(log_in)
    authenticator.refresh_if_due()
    assert stored(timed).refresh_token == of_the_login
    assert not authenticator.tokens.unsaved
    assert authenticator.status.up
    assert authenticator.changed_on_disk()
    clock.advance(1.0)
    authenticator.refresh_if_due()
    assert token_requests(timed) == 2
    assert stored(timed).refresh_token == timed.simulator.entra.issued_refresh_tokens[-1]


def test_a_login_while_nothing_can_be_saved_wins_once_it_is_there(timed: SignInKit) -> None:
    timed.put(timed.simulator.entra.issue_refresh_token())
    authenticator = timed.authenticator()
    authenticator.refresh_if_due()
    aside = block(timed.directory.root)
    authenticator.access_token(rejected=authenticator.access_token())
    assert authenticator.tokens.unsaved
    timed.directory.root.unlink()
    aside.rename(timed.directory.root)
    login = timed.put(timed.simulator.entra.issue_refresh_token())
    authenticator.retry_save()
    assert not authenticator.tokens.unsaved
    assert stored(timed) == login


def test_only_changes_on_disk_by_others_are_noticed(timed: SignInKit, clock: FakeClock) -> None:
    timed.put(timed.simulator.entra.issue_refresh_token())
    timed.write_seed("a seed")
    authenticator = timed.authenticator()
    assert not authenticator.changed_on_disk()
    for _ in range(3):
        authenticator.refresh_if_due()
        clock.advance(A_POLL_LATER_SECONDS)
        assert not authenticator.changed_on_disk()
    for change in (
        lambda: timed.put("a token"),
        lambda: timed.write_seed("another seed"),
        timed.seed_file.unlink,
        timed.store().path.unlink,
    ):
        change()
        assert authenticator.changed_on_disk()
        assert not authenticator.changed_on_disk()


def test_what_others_change_during_a_renewal_is_noticed_after_it(timed: SignInKit) -> None:
    timed.put(timed.simulator.entra.issue_refresh_token())
    timed.write_seed("a seed")
    authenticator = timed.authenticator()
    during: list[bool] = []

    def plant(method: str, _url: str) -> None:
        if method == "POST":
            timed.write_seed("another seed")
            during.append(authenticator.changed_on_disk())

    timed.transport.watchers.append(plant)
    authenticator.refresh_if_due()
    assert during == [False]
    assert authenticator.changed_on_disk()
    assert not authenticator.changed_on_disk()


def test_a_network_failure_leaves_the_stored_token(timed: SignInKit) -> None:
    before = timed.put(timed.simulator.entra.issue_refresh_token())
    timed.simulator.faults.add(Fault(kind="reset", endpoint="token", times=1))
    authenticator = timed.authenticator()
    with pytest.raises(NetworkError):
        authenticator.refresh_if_due()
    assert stored(timed) == before
    authenticator.refresh_if_due()
    assert authenticator.status.up
