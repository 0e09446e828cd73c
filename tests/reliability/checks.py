"""A fault of the matrix against every promise: what an operator can see, compared."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from markupsafe import escape

from exporter.model.rows import Api
from tests.integration.exposition import Exposition
from tests.reliability.conftest import MakeRig
from tests.reliability.promises import Data, Disk, Next, Outcome, Recovery, Row
from tests.reliability.rig import DAY_SECONDS, USAGE, Rig, Seen
from tests.reliability.settings import SETTINGS
from tests.support.logs import LogStream

HOUR = 3_600.0
MAX_STALENESS_SECONDS = 3 * DAY_SECONDS
RATIO = "partnercenter_license_usage_ratio"
STATE_WRITABLE = "\npartnercenter_state_writable 1.0\n"
# The supervisor looks once a minute on this clock, and a poll may be due up to a minute after that.
AT_ONCE_SECONDS = 62.0
WITHIN_A_MINUTE_SECONDS = 61.0


@dataclass(frozen=True)
class Strike:
    """One poll that a fault struck: what was seen before and after, and what was logged in between."""

    row: Row
    before: Seen
    seen: Seen
    entries: list[dict[str, Any]]

    @property
    def promised(self) -> Outcome:
        """What ought to have happened."""
        return self.row.outcome

    def moved(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Return by how much each sample of a counter moved, by the value of one label."""
        before = {} if self.row.restarted else _by_label(self.before.scrape, name, label, labels)
        after = _by_label(self.seen.scrape, name, label, labels)
        return {key: moved for key, value in after.items() if (moved := value - before.get(key, 0.0))}

    def logged(self, msg: str) -> list[dict[str, Any]]:
        """Return the new log lines with these words."""
        return [entry for entry in self.entries if entry["msg"] == msg]


def _by_label(scrape: Exposition, name: str, label: str, labels: dict[str, str]) -> dict[str, float]:
    found = scrape.select(f"partnercenter_{name}", **labels)
    return {dict(series)[label]: value for series, value in found.items()}


def check_row(row: Row, make_rig: MakeRig, log_stream: LogStream) -> None:
    """Let the fault strike after a successful poll, and compare all that was promised, until it is over."""
    rig = rig_for(row, make_rig)
    rig.start()
    rig.settle()
    before = rig.see()
    if row.restarted:
        rig.stop()
        rig.clock.pass_time(row.down_seconds, lambda: 0)
    known = len(log_stream.entries)
    with SETTINGS[row.setting](rig, row):
        if row.restarted:
            rig.start()
            rig.settle()
        else:
            rig.next_poll()
        strike = Strike(row, before, rig.see(), log_stream.entries[known:])
        for check in (check_poll, check_sign_in, check_data, check_requests, check_log, check_disk):
            check(strike, rig)
        check_next_poll(strike, rig)
        check_pages(strike, rig)
        if row.outcome.reason:
            check_withdrawal(strike, rig)
    check_recovery(row.outcome.recovery, rig)
    check_secrets(rig, log_stream)


def rig_for(row: Row, make_rig: MakeRig) -> Rig:
    """Return an exporter that polls one source every hour; the other one stays out of the way."""
    top = dict(row.top)
    poll = {"timeout": "500ms" if row.impatient else "20s", **top.pop("poll", {})}
    usage = {"api": "insights", "interval": "4h"} if row.insights else {"api": "commercial" if row.quirks else "legacy"}
    sources = {"usage": usage, "deployment": {"interval": "1d"}}
    rig = make_rig(poll=poll, sources=sources, **top)
    rig.simulator.entra.token_lifetime_seconds = row.token_seconds
    return rig


def check_poll(strike: Strike, _rig: Rig) -> None:
    """One poll ended, good or bad, and the counters say why."""
    promised, seen = strike.promised, strike.seen
    bad = bool(promised.reason)
    assert seen.of_source("up") == (0 if bad else 1)
    assert strike.moved("polls_total", "source", **USAGE) == {"usage": 1}
    failures = {promised.reason: 1} if bad else {}
    assert strike.moved("poll_failures_total", "reason", **USAGE) == failures
    assert strike.moved("rows_dropped_total", "reason", **USAGE) == promised.dropped
    assert seen.of_source("rows") == (strike.before.of_source("rows") if bad else promised.rows)
    last_success = "last_success_timestamp_seconds"
    assert (seen.of_source(last_success) == strike.before.of_source(last_success)) == bad
    assert seen.value("state_writable") == promised.state_writable


def check_sign_in(strike: Strike, _rig: Rig) -> None:
    """auth_up is 0 only where the sign-in is refused, and the refusal is counted by OAuth's word."""
    promised = strike.promised
    assert strike.seen.value("auth_up", partner="contoso") == promised.auth_up
    failures = {promised.auth_error: 1} if promised.auth_error else {}
    assert strike.moved("auth_failures_total", "error", partner="contoso") == failures


def check_data(strike: Strike, rig: Rig) -> None:
    """The old data stay as they were, or make way for exactly what the answer holds."""
    promised, before, seen = strike.promised, strike.before.scrape, strike.seen.scrape
    if promised.data is Data.STAYS:
        assert seen.data == before.data != {}
        return
    assert len(seen.select(RATIO)) == promised.rows - promised.dropped.get("no_value", 0) - promised.without_ratio
    if promised.data is Data.FRESH:
        assert seen.select(RATIO).items() <= figures(rig).items()
        assert seen.select(RATIO) != before.select(RATIO)
    if not strike.row.every_source:
        assert seen.named("partnercenter_licenses_sold") == before.named("partnercenter_licenses_sold")


def figures(rig: Rig) -> dict[frozenset[tuple[str, str]], Any]:
    """Return what the usage series must be now."""
    if rig.status("usage").api is Api.INSIGHTS:
        return _sums(rig)
    return {
        frozenset(
            {
                "partner": "contoso",
                "workload": figure.workload,
                "service": figure.service,
                "channel": figure.channel,
            }.items()
        ): pytest.approx(figure.percent / 100)
        for figure in rig.simulator.dataset.usage(rig.simulator.time.data_now())
    }


def _sums(rig: Rig) -> dict[frozenset[tuple[str, str]], Any]:
    """Return what they must be of Partner Insights."""
    sums = rig.simulator.insights.reporting.expected(
        "OfficeUsage",
        by=("WorkloadName", "PartnerAttributionType"),
        sums=("TotalMonthlyActiveUsers", "TotalPaidAvailableUnits"),
    )
    return {
        frozenset(
            {"partner": "contoso", "workload": workload, "service": "o365", "channel": channel}.items()
        ): pytest.approx(part / whole)
        for (workload, channel), (part, whole) in sums.items()
        if whole
    }


def check_requests(strike: Strike, rig: Rig) -> None:
    """No request more than promised; those of one call carry one id, those of one poll one correlation."""
    promised, before, seen = strike.promised, strike.before, strike.seen
    assert strike.moved("api_requests_total", "code", **USAGE) == promised.codes
    made = seen.api_requests - before.api_requests
    assert made == (sum(promised.codes.values()) if promised.reaches_api else 0)
    assert seen.token_requests - before.token_requests == promised.token_requests
    assert len(strike.logged("request failed, retrying")) == promised.retries
    requests = rig.requests()[-made:] if made else ()
    for header, ids in (("ms-requestid", promised.calls), ("ms-correlationid", 1)):
        assert len({request.headers[header] for request in requests}) == min(made, ids)


def check_log(strike: Strike, _rig: Rig) -> None:
    """One line says what went wrong and what to do; nothing is a fault of the exporter's own."""
    promised = strike.promised
    assert not strike.logged("internal error")
    lines = strike.logged(promised.log)
    assert lines
    assert any(promised.remedy in entry.get("remedy", "") for entry in strike.entries)
    failures = strike.logged("poll failed")
    sources = {"usage", "deployment"} if strike.row.every_source else {"usage"}
    assert sorted(line["source"] for line in failures) == (sorted(sources) if promised.reason else [])
    for line in failures:
        assert (line["level"], line["reason"]) == ("error", promised.reason)
        assert {"error", "remedy", "retry_in"} <= line.keys()
        assert promised.remedy in line["remedy"]
        assert "correlation_id" in line or not promised.codes


def check_disk(strike: Strike, rig: Rig) -> None:
    """What the poll brought is on disk, and what it could not bring has overwritten nothing."""
    promised, before, seen = strike.promised, strike.before, strike.seen
    assert (seen.fetched_at == before.fetched_at) == (promised.disk in (Disk.TOKEN, Disk.NOTHING_NEW))
    newest = rig.simulator.entra.issued_refresh_tokens[-1]
    if promised.disk in (Disk.ALL, Disk.TOKEN):
        assert seen.refresh_token == newest != before.refresh_token
    elif seen.refresh_token is not None:
        assert seen.refresh_token == before.refresh_token
    if promised.state_writable or promised.disk is Disk.DATA:
        assert seen.record["finished"] is True
        assert seen.record["up"] is (not promised.reason)
        assert (seen.record["failure"] or {}).get("reason", "") == promised.reason
    else:
        assert seen.record == before.record


def check_next_poll(strike: Strike, rig: Rig) -> None:
    """The next poll comes when it is promised, and not sooner."""
    promised, status = strike.promised, strike.seen.status
    assert status.next_poll_at is not None
    assert status.last_poll_at is not None
    after = status.next_poll_at - status.last_poll_at
    if promised.next_poll is Next.INTERVAL:
        assert -0.1 <= after - status.interval_seconds <= 60.1
    elif promised.next_poll is Next.BACK_OFF:
        assert 59.9 <= after <= 63.1
    else:
        assert promised.asked_seconds - 60 <= status.next_poll_at - rig.clock.time() <= promised.asked_seconds


def check_pages(strike: Strike, rig: Rig) -> None:
    """Every page can be read, `/` says what to do, and the exporter counts as healthy."""
    assert rig.openmetrics().data == strike.seen.scrape.data
    page = rig.page("/")
    failure = strike.seen.status.failure
    assert (failure is not None) == bool(strike.promised.reason)
    if failure is not None:
        assert str(escape(failure.message)) in page
        assert str(escape(failure.remedy)) in page
        assert strike.promised.remedy in failure.remedy
    assert rig.app.unhealthy() == []
    assert rig.app.not_ready() == []


def check_withdrawal(strike: Strike, rig: Rig) -> None:
    """Where the fault lasts, the back-off grows, and data older than max_staleness are withdrawn."""
    rig.pass_time(MAX_STALENESS_SECONDS)
    seen = rig.see()
    assert not seen.scrape.select(RATIO)
    assert seen.of_source("up") == 0
    assert seen.status.stale
    if strike.promised.next_poll is Next.BACK_OFF:
        assert seen.status.next_poll_at is not None
        assert seen.status.last_poll_at is not None
        assert 119.9 <= seen.status.next_poll_at - seen.status.last_poll_at <= 126.1


def check_recovery(recovery: Recovery, rig: Rig) -> None:
    """Once the cause is gone, the next poll succeeds."""
    if recovery is Recovery.SIGN_IN:
        rig.sign_in_anew()
    rig.next_poll(within_seconds=_SOON.get(recovery, DAY_SECONDS))
    rig.run_until(lambda: STATE_WRITABLE in rig.page("/metrics"), within_seconds=2 * AT_ONCE_SECONDS)
    seen = rig.see()
    assert seen.of_source("up") == 1
    assert seen.value("auth_up") == 1
    assert seen.scrape.select(RATIO).items() <= figures(rig).items()
    assert seen.scrape.select(RATIO)
    assert seen.refresh_token == rig.simulator.entra.issued_refresh_tokens[-1]
    assert seen.record["up"] is True
    assert seen.status.failure is None


_SOON = {
    Recovery.SIGN_IN: AT_ONCE_SECONDS,
    Recovery.FILE: AT_ONCE_SECONDS,
    Recovery.CONFIGURATION: WITHIN_A_MINUTE_SECONDS,
}


def check_secrets(rig: Rig, log: LogStream) -> None:
    """No token and no secret stands in the log or on a page."""
    shown = log.getvalue() + rig.page("/metrics") + rig.page("/")
    secrets: Iterable[str] = (*rig.simulator.entra.issued_refresh_tokens, rig.simulator.client_secret, "eyJ")
    assert [secret for secret in secrets if secret in shown] == []
