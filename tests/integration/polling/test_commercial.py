"""The commercial API of the simulator, polled as the exporter does it."""

from collections.abc import Callable

import pytest

from tests.integration.polling.conftest import Bench

RATIO, ACTIVE, QUALIFIED = (
    "partnercenter_license_usage_ratio",
    "partnercenter_licenses_active",
    "partnercenter_licenses_qualified",
)
DETAIL = {"api": "commercial", "detail": ["customer", "product"]}


def test_the_same_licences_give_the_same_ratios_whichever_api_feeds_them(
    make_bench: Callable[..., Bench],
) -> None:
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


def test_the_counts_of_customers_and_products_add_up_to_those_without(
    make_bench: Callable[..., Bench],
) -> None:
    plain, detailed = (
        make_bench(sources={"usage": {"api": "commercial"}}),
        make_bench(sources={"usage": DETAIL}),
    )
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
