"""Counts with detail over restarts and reloads: the same bytes, and no more detail than is asked for."""

from dataclasses import replace
from pathlib import Path

import pytest

from exporter.files import StateDirectory
from exporter.logs import get_logger
from exporter.metrics.snapshot import SnapshotStore
from exporter.metrics.targets import Target
from exporter.model.rows import Dimension
from exporter.polling.last_good import LastGood, View
from exporter.polling.plan import PollPlan
from exporter.polling.state import SourceState
from exporter.sources import usage
from exporter.sources.commercial import Commercial
from exporter.web.scrape import plain
from tests.fixtures import commercial_page, commercial_usage_item
from tests.fixtures.api import answering
from tests.support.clock import FakeClock
from tests.support.plan import plan

PLAN = plan(detail_labels=("customer_id",))
PAGE = commercial_page(
    commercial_usage_item(), commercial_usage_item(customerTenantId="B2", customerName="Blue Yonder")
)


class Shown:
    """The last good data of one source, and what scrapes get of them."""

    def __init__(self, folder: Path, clock: FakeClock, plan: PollPlan = PLAN) -> None:
        self.snapshots = SnapshotStore()
        self.data = LastGood(
            plan=plan,
            state=SourceState(StateDirectory(folder), plan, get_logger()),
            snapshots=self.snapshots,
            clock=clock,
            log=get_logger(),
        )

    def text(self) -> str:
        """Return the data series."""
        return b"".join(plain(self.snapshots.current, b"")).decode()


@pytest.fixture
def polled(tmp_path: Path, clock: FakeClock) -> Shown:
    """What a good poll with customers leaves."""
    shown = Shown(tmp_path, clock)
    answer = Commercial(usage.COMMERCIAL, max_series=10, detail=(Dimension.CUSTOMER,)).fetch(answering(PAGE))
    shown.data.show(answer)
    shown.data.save()
    return shown


def test_a_restart_shows_the_same_bytes(tmp_path: Path, clock: FakeClock, polled: Shown) -> None:
    again = Shown(tmp_path, clock)
    assert again.data.restore(again.data.state.load_data())
    assert again.text() == polled.text()
    assert 'customer_id="B2"' in again.text()


def test_a_successor_after_a_reload_shows_the_same_bytes(tmp_path: Path, clock: FakeClock, polled: Shown) -> None:
    successor = Shown(tmp_path / "elsewhere", clock)
    assert successor.data.restore(polled.data.current())
    assert successor.text() == polled.text()


def test_detail_that_is_no_longer_asked_for_is_gone_at_once_and_the_sums_stay(
    tmp_path: Path, clock: FakeClock, polled: Shown
) -> None:
    again = Shown(tmp_path, clock, replace(PLAN, detail_labels=()))
    assert again.data.restore(again.data.state.load_data())
    assert "customer" not in again.text()
    assert "Adatum" in polled.text()
    series = '{partner="contoso",workload="Exchange",service="o365",channel="reseller"}'
    assert f"partnercenter_licenses_active{series} 10.0\n" in again.text()


def test_other_targets_leave_the_counts_as_they_are(polled: Shown) -> None:
    polled.data.retarget((Target(ratio=0.5),))
    assert 'customer_id="B2"' in polled.text()
    assert "partnercenter_license_usage_target_ratio{" in polled.text()


def test_the_target_of_a_customer_is_shown_at_once_over_a_restart_too_and_for_no_other_customer(
    tmp_path: Path, clock: FakeClock, polled: Shown
) -> None:
    named, common, unknown = Target(ratio=0.9, customer="B2"), Target(ratio=0.5), Target(ratio=0.9, customer="C3")
    polled.data.retarget((named, common, unknown))
    again = Shown(tmp_path, clock)
    again.data.retarget((named, common, unknown))
    assert again.data.restore(again.data.state.load_data())
    series = '{partner="contoso",workload="Exchange",service="o365",channel="reseller"'
    for shown in (polled, again):
        lines = [line for line in shown.text().splitlines() if "target_ratio{" in line]
        assert lines == [
            f"partnercenter_license_usage_target_ratio{series}}} 0.5",
            f'partnercenter_customer_usage_target_ratio{series},customer_id="B2"}} 0.9',
        ]
        assert shown.data.view.used_targets == {named, common}


def test_what_pages_ask_is_worked_out_when_data_or_targets_change_and_not_when_they_are_asked(
    tmp_path: Path, clock: FakeClock, polled: Shown
) -> None:
    target = Target(ratio=0.5)
    polled.data.retarget((target,))
    view = polled.data.view
    assert view.chart is not None
    assert [target for _, target in view.chart.bars] == [0.5]
    assert view.used_targets == {target}
    polled.data.retarget((target,))
    polled.data.save()
    assert polled.data.view is view
    again = Shown(tmp_path, clock)
    again.data.retarget((target,))
    assert again.data.view.chart is None
    assert again.data.restore(again.data.state.load_data())
    assert again.data.view == view


def test_data_that_are_too_old_leave_nothing_behind(polled: Shown, clock: FakeClock) -> None:
    clock.advance(7_201)
    assert polled.data.withdraw_if_stale()
    assert polled.text() == ""
    assert polled.data.view == View()
