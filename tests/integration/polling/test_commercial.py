"""The commercial API of the simulator, polled as the exporter does it."""

from collections.abc import Callable

import pytest

from partnercenter_simulator.commercial import Quirks
from tests.integration.polling.conftest import Bench

RATIO, ACTIVE, QUALIFIED = (
    "partnercenter_license_usage_ratio",
    "partnercenter_licenses_active",
    "partnercenter_licenses_qualified",
)
DETAIL = {"api": "commercial", "detail": ["customer", "product"]}


def test_the_same_licences_give_the_same_ratios_whichever_api_feeds_them(make_bench: Callable[..., Bench]) -> None:
    legacy, commercial = make_bench(), make_bench(sources={"usage": {"api": "commercial"}})
    assert (legacy.poll().up, commercial.poll().up) == (True, True)
    wanted = legacy.scrape().select(RATIO)
    assert commercial.scrape().select(RATIO) == {
        labels: pytest.approx(value, abs=1e-6) for labels, value in wanted.items()
    }
    assert commercial.poller.status.rows == len(wanted)


def test_the_ratio_is_active_of_qualified(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(sources={"usage": {"api": "commercial"}})
    bench.poll()
    seen = bench.scrape()
    active, qualified = seen.select(ACTIVE), seen.select(QUALIFIED)
    assert active
    assert seen.select(RATIO) == {labels: active[labels] / qualified[labels] for labels in active}


def test_the_counts_of_customers_and_products_add_up_to_those_without(make_bench: Callable[..., Bench]) -> None:
    plain, detailed = (make_bench(sources={"usage": {"api": "commercial"}}), make_bench(sources={"usage": DETAIL}))
    assert (plain.poll().up, detailed.poll().up) == (True, True)
    seen = detailed.scrape()
    for labels, value in plain.scrape().select(ACTIVE).items():
        assert sum(seen.select(ACTIVE, **dict(labels)).values()) == value
    customers = {dict(labels)["customer_id"] for labels in seen.select(ACTIVE)}
    named = [dict(labels)["customer_id"] for labels in seen.select("partnercenter_customer_info")]
    assert sorted(named) == sorted(customers)


def test_a_restart_shows_the_same_counts(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(sources={"usage": DETAIL})
    bench.poll()
    before, after = bench.scrape(), bench.restarted().scrape()
    prefixes = ("partnercenter_license", "partnercenter_customer", "partnercenter_product")
    assert after.named(*prefixes) == before.named(*prefixes)
    assert before.select("partnercenter_product_info")


@pytest.mark.parametrize(
    "quirks",
    [
        *(Quirks(max_rows=7, links=links) for links in ("relative", "absolute", "query", "none")),
        *(Quirks(max_rows=7, spelling=spelling) for spelling in ("table", "items", "mixed")),
        Quirks(max_rows=7, counts_as_text=True),
        Quirks(max_rows=700, ignores_groupby=True),
        Quirks(max_rows=7, repeats_last_row=True),
    ],
    ids=str,
)
def test_the_server_s_variations_change_nothing(make_bench: Callable[..., Bench], quirks: Quirks) -> None:
    bench = make_bench(sources={"usage": {"api": "commercial"}})
    bench.poll()
    wanted = bench.scrape().data
    bench.simulator.commercial.quirks = quirks
    status = bench.poll()
    assert (status.up, status.failure) == (True, None)
    assert bench.scrape().data == wanted


@pytest.mark.parametrize(
    ("quirks", "reason"),
    [
        (Quirks(max_rows=7, links="foreign"), "rejected"),
        (Quirks(max_rows=7, links="loop"), "payload"),
        (Quirks(max_rows=7, links="endless"), "payload"),
        (Quirks(max_rows=7, total_is_off_by=1), "payload"),
        (Quirks(max_rows=7, total_is_off_by=-1), "payload"),
    ],
    ids=str,
)
def test_an_answer_that_is_not_whole_is_never_shown(
    make_bench: Callable[..., Bench], quirks: Quirks, reason: str
) -> None:
    bench = make_bench(sources={"usage": {"api": "commercial"}})
    bench.poll()
    shown = bench.scrape().data
    bench.simulator.commercial.quirks = quirks
    status = bench.poll()
    assert status.up is False
    assert status.failure is not None
    assert status.failure.reason == reason
    assert bench.scrape().data == shown
