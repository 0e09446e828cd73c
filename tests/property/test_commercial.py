"""What the commercial sources make of rows does not hang on their order or on the pages."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.model.rows import Answer, Dimension, DropReason, UsageRow
from exporter.model.totals import Total, keep_smallest
from exporter.sources import usage
from exporter.sources.commercial import Commercial
from tests.fixtures import commercial_page, commercial_usage_item
from tests.fixtures.api import answering_in_turn

# The names of a row's customer and product are unlike all others', so that no row is a repeat.
ROWS = st.lists(
    st.builds(
        lambda workload, customer, active, qualified: commercial_usage_item(
            workloadName=workload, customerTenantId=customer, licenseActive=active, licensesQualified=qualified
        ),
        st.sampled_from(["Exchange", "Teams", "Überblick"]),
        st.sampled_from(["A1", "B2", "C3", "D4"]),
        st.integers(0, 10**6),
        st.integers(1, 10**6),
    ),
    min_size=1,
    max_size=12,
).map(lambda rows: [{**row, "productName": f"Product {number}"} for number, row in enumerate(rows)])


def fetch(rows: list[dict[str, object]], size: int, limit: int, detail: tuple[Dimension, ...]) -> Answer:
    """Return the answer of a server that ignores groupby and gives pages of this size."""
    cut = [rows[start : start + size] for start in range(0, len(rows), size)]
    poll, _ = answering_in_turn(*(commercial_page(*page, total=len(rows)) for page in cut))
    return Commercial(usage.COMMERCIAL, max_series=limit, detail=detail).fetch(poll)


def shown(answer: Answer) -> tuple[object, ...]:
    counts = sorted(answer.breakdown.sums.items()) if answer.breakdown else None
    return (answer.rows, answer.usable, answer.dropped, counts)


@given(
    ROWS,
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 6),
    st.randoms(use_true_random=False),
    st.sampled_from([(), (Dimension.CUSTOMER,)]),
)
def test_order_and_pages_change_nothing(
    rows: list[dict[str, object]], size: int, other: int, limit: int, rng: object, detail: tuple[Dimension, ...]
) -> None:
    shuffled = list(rows)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert shown(fetch(rows, size, limit, detail)) == shown(fetch(shuffled, other, limit, detail))


@given(ROWS, st.integers(1, 4))
def test_no_licence_is_lost_or_counted_twice(rows: list[dict[str, object]], limit: int) -> None:
    answer = fetch(rows, 4, 100, (Dimension.CUSTOMER,))
    limited = fetch(rows, 4, limit, (Dimension.CUSTOMER,))
    assert answer.breakdown is not None
    assert limited.breakdown is not None
    wanted = sum(int(str(row["licenseActive"])) for row in rows)
    assert sum(total.part or 0 for total in answer.breakdown.sums.values()) == wanted
    assert sum(row.active or 0 for row in answer.rows if isinstance(row, UsageRow)) == wanted
    every = sorted(answer.breakdown.sums)
    assert sorted(limited.breakdown.sums) == every[:limit]
    assert limited.dropped[DropReason.LIMIT] == max(len(every) - limit, 0)
    assert [row for row in answer.rows if row in limited.rows] == list(limited.rows)


DATES = st.sampled_from(
    [
        "2020-03-14T00:00:00",
        "2020-03-14T23:59:59Z",
        "2020-03-13T12:00:00",
        "2020-03-01",
        "",
        "0001-01-01T00:00:00",
        None,
    ]
)


@given(
    st.lists(
        st.tuples(ROWS.map(lambda rows: rows[0]), DATES, st.sampled_from(["o365", "crm"])), min_size=1, max_size=9
    ),
    st.sampled_from([(), (Dimension.CUSTOMER,)]),
    st.randoms(use_true_random=False),
)
def test_days_are_never_added_up_whatever_the_order(
    drawn: list[tuple[dict[str, object], str | None, str]], detail: tuple[Dimension, ...], rng: object
) -> None:
    rows = [
        {**row, "processedDateTime": date, "serviceCode": service, "productName": f"Product {number}"}
        for number, (row, date, service) in enumerate(drawn)
    ]
    shuffled = list(rows)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    answer = fetch(rows, len(rows), 100, detail)
    assert shown(answer) == shown(fetch(shuffled, len(rows), 100, detail))
    for service in ("o365", "crm"):
        of_service = [row for row in rows if row["serviceCode"] == service]
        days = {day_of(row) for row in of_service}
        wanted = sum(int(str(row["licenseActive"])) for row in of_service if day_of(row) in (max(days), ""))
        assert (
            sum(row.active or 0 for row in answer.rows if isinstance(row, UsageRow) and row.service == service)
            == wanted
        )
    assert answer.usable + answer.dropped[DropReason.DUPLICATE] == len(rows)


def day_of(row: dict[str, object]) -> str:
    """Return the day of a row, or nothing if it has no date."""
    return str(row["processedDateTime"] or "")[:10].replace("0001-01-01", "")


@given(st.lists(st.tuples(st.text(), st.text()), unique=True, max_size=40), st.integers(1, 40))
def test_over_the_limit_the_smallest_stay(keys: list[tuple[str, ...]], limit: int) -> None:
    sums = {labels: Total() for labels in keys}
    assert keep_smallest(sums, limit) == max(len(keys) - limit, 0)
    assert sorted(sums) == sorted(keys)[:limit]
