"""What a source makes of its rows does not hang on their order."""

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import PayloadError
from exporter.model.rows import DropReason, UsageRow
from exporter.sources import usage
from exporter.sources.legacy import Legacy, keep_newest, ratio
from tests.fixtures import legacy_page, usage_item
from tests.fixtures.api import answering
from tests.property.strategies import usage_rows

NAMES = st.sampled_from(["Exchange", "Teams", "SharePoint", "Yammer", "exchange", "Überblick"])
PERCENTS = st.none() | st.floats(-1, 200, allow_nan=False)
ITEMS = st.builds(
    lambda workload, service, percent: usage_item(
        workloadName=workload, serviceName=service, proratedLicensesUsagePercent=percent
    ),
    NAMES | st.none(),
    st.sampled_from(["o365", "crm"]),
    PERCENTS,
)


def fetch(items: list[dict[str, object]], limit: int) -> tuple[list[tuple[str, ...]], dict[DropReason, int]] | None:
    """Return the keys of the rows and what was dropped; None where nothing was usable."""
    try:
        answer = Legacy(usage.LEGACY, limit).fetch(answering(legacy_page(*items)))
    except PayloadError:
        return None
    return [row.key for row in answer.rows], answer.dropped


@given(st.lists(ITEMS, max_size=12), st.integers(1, 6), st.randoms(use_true_random=False))
def test_the_same_series_stay_whatever_the_order_of_the_rows(
    items: list[dict[str, object]], limit: int, rng: random.Random
) -> None:
    shuffled = items.copy()
    rng.shuffle(shuffled)
    assert fetch(items, limit) == fetch(shuffled, limit)


@given(st.lists(ITEMS, max_size=12), st.integers(1, 6))
def test_every_row_is_shown_or_counted_as_dropped(items: list[dict[str, object]], limit: int) -> None:
    outcome = fetch(items, limit)
    if outcome is not None:
        keys, dropped = outcome
        # A row without its value is shown and counted: it has a date.
        assert len(keys) + sum(dropped.values()) - dropped[DropReason.NO_VALUE] == len(items)
        assert len(keys) <= limit
        assert len(set(keys)) == len(keys)


@given(st.lists(ITEMS, min_size=1, max_size=8), st.integers(1, 6))
def test_a_higher_limit_shows_all_that_a_lower_one_shows(items: list[dict[str, object]], limit: int) -> None:
    lower, higher = fetch(items, limit), fetch(items, limit + 1)
    if lower is not None and higher is not None:
        assert higher[0][:limit] == lower[0]


@given(st.lists(usage_rows, max_size=10), st.randoms(use_true_random=False))
def test_of_each_label_set_a_row_stays_that_no_other_is_newer_than(rows: list[UsageRow], rng: random.Random) -> None:
    twice = rows + [replace(row, ratio=0.5, processed_at=1e9) for row in rows]
    rng.shuffle(twice)
    kept = {row.key: row for row in keep_newest(twice)}
    assert kept.keys() == {row.key for row in twice}
    for row in twice:
        assert (kept[row.key].processed_at or 0.0) >= (row.processed_at or 0.0)


@given(st.floats(0, 1e6, allow_nan=False))
def test_a_ratio_is_a_hundredth_of_the_percentage_and_never_clamped(percent: float) -> None:
    assert ratio(percent) == percent / 100
