"""When the next poll comes."""

from collections.abc import Callable
from email.utils import formatdate

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from partnercenter_simulator import Fault
from tests.integration.polling.conftest import Bench

FORBIDDEN = Fault(kind="status", endpoint="usage", status=403)
HOUR = 3_600.0
RETRY_AFTER = 5_000.0


def jittered(seconds: float) -> tuple[float, float]:
    """Return the bounds of a time that was made a little longer at random."""
    return seconds - 0.001, seconds + min(seconds * 0.05, 60) + 0.001


def test_after_a_good_poll_the_next_comes_after_the_interval(bench: Bench) -> None:
    bench.poll()
    least, maximum = jittered(HOUR)
    assert least <= bench.wait_before_next() <= maximum


def test_the_interval_counts_from_the_poll_s_beginning(bench: Bench) -> None:
    bench.simulator.faults.add(Fault(kind="throttled", endpoint="usage", retry_after=80, times=1))
    status = bench.poll()
    assert status.up
    assert status.last_duration_seconds == pytest.approx(80, abs=1)
    least, maximum = jittered(HOUR)
    assert least <= bench.wait_before_next() <= maximum


def test_failures_back_off_from_a_minute_up_to_the_interval(bench: Bench) -> None:
    bench.simulator.faults.add(FORBIDDEN)
    for seconds in (60, 120, 240, 480, 960, 1_920, HOUR, HOUR, HOUR):
        bench.poll()
        least, maximum = jittered(seconds)
        assert least <= bench.wait_before_next() <= maximum


def test_a_good_poll_ends_the_back_off(bench: Bench) -> None:
    bench.simulator.faults.add(Fault(kind="status", endpoint="usage", status=403, times=5))
    for _ in range(6):
        bench.poll()
    bench.simulator.faults.add(FORBIDDEN)
    bench.poll()
    least, maximum = jittered(60)
    assert least <= bench.wait_before_next() <= maximum


def test_the_back_off_never_passes_a_short_interval(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(poll={"interval": "90s"})
    bench.simulator.faults.add(FORBIDDEN)
    for seconds in (60, 90, 90):
        bench.poll()
        least, maximum = jittered(seconds)
        assert least <= bench.wait_before_next() <= maximum


@pytest.mark.parametrize("status", [429, 503, 403])
def test_a_long_retry_after_in_seconds_moves_the_next_poll(bench: Bench, status: int) -> None:
    bench.simulator.faults.add(Fault(kind="status", endpoint="usage", status=status, retry_after=5_000))
    bench.poll()
    assert bench.due_in() == pytest.approx(5_000)
    assert bench.simulator.requests.count("usage") == 1


def test_a_retry_after_of_entra_id_moves_the_next_poll(bench: Bench) -> None:
    bench.simulator.faults.add(Fault(kind="throttled", endpoint="token", retry_after=5_000))
    bench.poll()
    assert bench.due_in() == pytest.approx(5_000)


def test_a_retry_after_as_a_date_is_measured_against_the_server_s_own_clock(bench: Bench) -> None:
    bench.clock.jump(90 * 86_400.0)
    until = formatdate(bench.clock.true_time() + 5_000, usegmt=True)
    bench.simulator.faults.add(Fault(kind="throttled", endpoint="usage", retry_after=until))
    bench.poll()
    assert bench.due_in() == pytest.approx(5_000, abs=5)


def test_a_short_retry_after_is_waited_for_within_the_poll(bench: Bench) -> None:
    bench.simulator.faults.add(Fault(kind="throttled", endpoint="usage", retry_after=57, times=1))
    assert bench.poll().up
    assert max(bench.clock.waits) >= 57


def test_a_retry_after_that_is_shorter_than_the_back_off_does_not_shorten_it(bench: Bench) -> None:
    bench.simulator.faults.add(Fault(kind="status", endpoint="usage", status=403, retry_after=5))
    bench.poll()
    assert bench.wait_before_next() >= 60


def test_an_invalid_retry_after_is_ignored(bench: Bench) -> None:
    bench.simulator.faults.add(Fault(kind="status", endpoint="usage", status=403, retry_after="soon, maybe"))
    bench.poll()
    least, maximum = jittered(60)
    assert least <= bench.wait_before_next() <= maximum


def test_poll_soon_after_a_failed_poll_polls_now(bench: Bench) -> None:
    bench.simulator.faults.add(FORBIDDEN)
    for _ in range(4):
        bench.poll()
    bench.poller.poll_soon()
    assert bench.due_in() == 0


def test_poll_soon_after_a_good_poll_changes_nothing(bench: Bench) -> None:
    bench.poll()
    before = bench.due_in()
    bench.poller.poll_soon()
    assert bench.due_in() == before


def test_poll_soon_waits_as_long_as_retry_after_asked(bench: Bench) -> None:
    bench.simulator.faults.add(Fault(kind="throttled", endpoint="usage", retry_after=5_000))
    bench.poll()
    bench.clock.advance(1_000)
    bench.poller.poll_soon()
    assert bench.due_in() == pytest.approx(4_000)


def test_a_token_that_comes_during_a_failing_poll_is_tried_at_once(bench: Bench) -> None:
    fetch = bench.poller.fetch
    bench.simulator.faults.add(FORBIDDEN)
    for _ in range(6):
        bench.poll()
    # The poll under way has begun with the old token.
    bench.interrupt(bench.poller.poll_soon)
    bench.poll()
    assert bench.due_in() == 0
    bench.poller.fetch = fetch
    bench.poll()
    assert bench.due_in() == pytest.approx(HOUR, abs=61)


def test_steps_of_the_wall_clock_do_not_move_the_next_poll(bench: Bench) -> None:
    bench.poll()
    due = bench.clock.monotonic() + bench.due_in()
    bench.clock.jump(-86_400)
    bench.poller.withdraw_if_stale()
    assert bench.scrape().data != {}
    assert bench.clock.monotonic() < due


OUTCOMES = {
    "good": (),
    "empty": (Fault(kind="empty_rows", endpoint="usage"),),
    "unusable": (Fault(kind="rows", endpoint="usage", rows=[{"channel": None}]),),
    "forbidden": (FORBIDDEN,),
    "throttled": (Fault(kind="throttled", endpoint="usage", retry_after=RETRY_AFTER),),
}


@given(st.lists(st.sampled_from(sorted(OUTCOMES)), min_size=1, max_size=5))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happened_the_next_poll_and_the_data_follow_from_the_last_polls(
    make_bench: Callable[..., Bench], tmp_path_factory: pytest.TempPathFactory, outcomes: list[str]
) -> None:
    bench = make_bench(state_dir=str(tmp_path_factory.mktemp("state")))
    good = bench.scrape().data
    for outcome in outcomes:
        bench.clock.advance(max(bench.due_in(), 0.0))
        bench.simulator.faults.clear()
        bench.simulator.faults.add(*OUTCOMES[outcome])
        up = bench.poll().up
        assert up == (outcome in ("good", "empty"))
        good = bench.scrape().data if up else good
        assert bench.scrape().data == good
        assert bool(good) or outcome != "good"
        maximum = max(jittered(HOUR)[1], RETRY_AFTER + 1)
        assert 59.9 <= bench.wait_before_next() <= maximum
        # A restart now shows the same, and polls no later; but it keeps to the interval and to Retry-After.
        restarted = bench.restarted()
        assert restarted.scrape().data == good
        least = {"throttled": RETRY_AFTER, "good": HOUR, "empty": HOUR}.get(outcome, 0.0)
        assert least - 1 <= restarted.due_in() <= max(bench.due_in(), 60.0)
