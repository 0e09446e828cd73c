import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from partnercenter_simulator.dataset import CHANNELS, SERVICES, WORKLOADS, Dataset, SimulatedTime, UsageFigure
from partnercenter_simulator.wire import BOM, deployment_body, format_time, usage_body

START = date(2026, 3, 2)
DAY = timedelta(days=1)
untimed = settings(deadline=None)
seeds = st.integers(0, 10_000)
moments = st.datetimes(datetime(2016, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis adds the zone


def at(days: float) -> datetime:
    return datetime(START.year, START.month, START.day, 12, tzinfo=UTC) + days * DAY


def percents(figures: Sequence[UsageFigure], workload: str) -> list[float]:
    return [figure.percent for figure in figures if figure.workload == workload]


@untimed
@given(seeds, moments)
def test_no_more_licences_are_active_than_qualified_nor_deployed_than_sold(seed: int, moment: datetime) -> None:
    dataset = Dataset(seed, START)
    assert all(0 <= figure.active <= figure.qualified for figure in dataset.usage(moment))
    assert all(0 <= figure.deployed <= figure.sold for figure in dataset.deployment(moment))


@untimed
@given(seeds, moments)
def test_the_same_seed_has_the_same_figures(seed: int, moment: datetime) -> None:
    first, second = Dataset(seed, START), Dataset(seed, START)
    assert first.usage(moment) == second.usage(moment)
    assert first.deployment(moment) == second.deployment(moment)


def test_another_seed_is_another_partner() -> None:
    assert Dataset(1, START).usage(at(0)) != Dataset(2, START).usage(at(0))


@untimed
@given(seeds)
def test_skype_declines_month_by_month_and_teams_grows(seed: int) -> None:
    dataset = Dataset(seed, START)
    months = [dataset.usage(at(28 * month)) for month in range(5)]
    for before, after in pairwise(months):
        falling = zip(percents(before, "Skype For Business"), percents(after, "Skype For Business"), strict=True)
        assert all(earlier > later for earlier, later in falling)
    rising = zip(percents(months[0], "Teams"), percents(months[-1], "Teams"), strict=True)
    assert all(earlier < later for earlier, later in rising)


@untimed
@given(seeds, moments)
def test_every_service_channel_and_workload_has_its_row(seed: int, moment: datetime) -> None:
    dataset = Dataset(seed, START)
    usage = {(figure.service, figure.workload, figure.channel) for figure in dataset.usage(moment)}
    assert usage == {(w.service, w.name, channel) for w in WORKLOADS for channel in CHANNELS}
    deployment = {(figure.service, figure.channel) for figure in dataset.deployment(moment)}
    assert deployment == {(service, channel) for service in SERVICES for channel in CHANNELS}


def test_one_workload_name_is_in_two_services() -> None:
    assert {figure.service for figure in Dataset().usage(at(0)) if figure.workload == "SharePoint"} == {"o365", "crm"}


@untimed
@given(seeds, moments)
def test_data_is_as_old_as_the_real_data(seed: int, moment: datetime) -> None:
    dataset = Dataset(seed, START)
    assert all(4 * DAY <= moment - figure.processed_at <= 6 * DAY for figure in dataset.usage(moment))
    assert all(0 * DAY <= moment - figure.processed_at <= 4 * DAY for figure in dataset.deployment(moment))


def test_figures_stay_the_same_for_a_day_and_then_change() -> None:
    dataset = Dataset(3, START)
    assert dataset.usage(at(0)) == dataset.usage(at(0.4))
    assert dataset.usage(at(0)) != dataset.usage(at(1))


@untimed
@given(seeds, st.floats(0, 1e7), st.lists(st.floats(0, 1e8), min_size=2, max_size=5))
def test_timestamps_are_never_in_the_future_and_never_go_back(seed: int, speed: float, elapsed: list[float]) -> None:
    clock = [at(0).timestamp()]
    simulated, dataset = SimulatedTime(speed, lambda: clock[0]), Dataset(seed, START)
    last: list[datetime] = []
    for seconds in sorted(elapsed):
        clock[0] = at(0).timestamp() + seconds
        moment = simulated.data_now()
        bodies = (
            usage_body(dataset.usage(moment), seed=seed, wall=simulated.on_wall),
            deployment_body(dataset.deployment(moment), seed=seed, wall=simulated.on_wall),
        )
        stamps = [stamp for body in bodies for stamp in stamps_of(body)]
        assert all(stamp.timestamp() <= clock[0] for stamp in stamps)
        assert all(earlier <= later for earlier, later in zip(last, stamps, strict=False))
        last = stamps


def stamps_of(body: bytes) -> list[datetime]:
    document = json.loads(body.removeprefix(BOM))
    return [datetime.fromisoformat(item["processedDateTime"]) for item in document["items"]]


def test_at_a_speed_of_one_timestamps_are_unchanged() -> None:
    simulated = SimulatedTime(1, lambda: at(0).timestamp())
    assert simulated.on_wall(at(-5)) == at(-5)


@untimed
@given(moments, st.integers())
def test_every_spelling_of_a_time_reads_back_within_a_second_and_never_later(moment: datetime, key: int) -> None:
    read = datetime.fromisoformat(format_time(moment, key))
    assert timedelta(0) <= moment - read < timedelta(seconds=1)


def test_all_recorded_formats_occur() -> None:
    spellings = {format_time(at(0), key).partition(":00:00")[2] for key in range(100)}
    fractions = ("", ".00", ".0000000")
    assert spellings == {fraction + zone for fraction in fractions for zone in ("Z", "+00:00")}
