"""Every query of the dashboard on customers on a real Prometheus with its rules: what it shows are the counts."""

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from partnercenter_simulator.customers import Customers
from partnercenter_simulator.dataset import Dataset
from tests.e2e.conftest import program
from tests.support.dashboard import (
    ALL_CUSTOMERS,
    CUSTOMERS,
    RANKINGS,
    Query,
    choices_query,
    filled_in,
    named_choices,
    with_rankings,
)
from tests.support.past_customers import WEEK_SECONDS, Counts, Partner, prometheus_with_customers
from tests.support.prometheus import Labels, Prometheus

TARGETS = {"Exchange": 0.85, "Teams": 0.6}
COUNT = 30
TOP = 20
Key = tuple[str, str]  # partner, customer


@dataclass(frozen=True)
class Shown:
    """Prometheus' data, and the counts that it must match."""

    prometheus: Prometheus
    partners: tuple[Partner, ...]
    now: float

    @property
    def chosen(self) -> dict[str, str]:
        """The variables: everything, and a customer that has licences."""
        sums = self.sums(self.partners[0].counts(self.now))
        return {**ALL_CUSTOMERS, "customer": max(sums, key=lambda customer: sums[customer][0])}

    def ask(self, panel: str, letter: str = "A", **chosen: str) -> dict[Labels, float]:
        """Return the current result of a panel's query."""
        return self.newest(CUSTOMERS.query(panel, letter).expr, self.chosen | chosen)

    def newest(self, expr: str, chosen: dict[str, str]) -> dict[Labels, float]:
        """Return the current result of an expression with variables."""
        if any(f"${ranking['name']}" in expr for ranking in RANKINGS):
            chosen = with_rankings(chosen, lambda query: self.prometheus.newest(query, at=self.now))
        return self.prometheus.newest(filled_in(expr, chosen), at=self.now)

    def only(self, panel: str, letter: str = "A", **chosen: str) -> float:
        """Return the single current value of a panel's query."""
        [value] = self.ask(panel, letter, **chosen).values()
        return value

    def by_customer(self, panel: str, letter: str = "A", **chosen: str) -> dict[Key, float]:
        """Return the current value of each customer."""
        found = ((dict(labels), value) for labels, value in self.ask(panel, letter, **chosen).items())
        return {(labels["partner"], labels["customer_id"]): value for labels, value in found}

    @staticmethod
    def sums(counts: Counts, *, workload: str = "") -> dict[str, tuple[int, int]]:
        """Return each customer's qualified and active licences, of one workload or all."""
        sums: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for (customer, _, _, name, _), (whole, part) in counts.items():
            if name and workload in ("", name):
                sums[customer] = (sums[customer][0] + whole, sums[customer][1] + part)
        return sums

    def usage(self, ago: float = 0, *, workload: str = "") -> dict[Key, tuple[int, int]]:
        """Return the qualified and active licences of every customer of every partner."""
        return {
            (partner.name, customer): pair
            for partner in self.partners
            for customer, pair in self.sums(partner.counts(self.now - ago), workload=workload).items()
        }


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Prometheus with two partners, each scraped from two replicas."""
    now = float(int(time.time()))
    day = datetime.fromtimestamp(now, UTC).date()
    partners = tuple(
        Partner(name, Dataset(seed, day, size=COUNT / 40), Customers(seed, COUNT))
        for seed, name in enumerate(("contoso", "fabrikam"), 1)
    )
    programs = program("prometheus"), program("promtool")
    folder = tmp_path_factory.mktemp("customers")
    with prometheus_with_customers(programs, folder, partners, TARGETS, now) as started:
        yield Shown(started, partners, now)


@pytest.mark.parametrize("asked", CUSTOMERS.queries, ids=str)
def test_every_query_gives_data(shown: Shown, asked: Query) -> None:
    values = shown.newest(asked.expr, shown.chosen).values()
    assert [value for value in values if value == value]  # noqa: PLR0124  NaN is no data


@pytest.mark.parametrize("asked", CUSTOMERS.queries, ids=str)
def test_every_query_accepts_any_choice(shown: Shown, asked: Query) -> None:
    some = {"partner": "contoso", "service": "o365|ems", "workload": "Exchange|Teams", "product": "none"}
    shown.newest(asked.expr, shown.chosen | some)


@pytest.mark.parametrize("variable", CUSTOMERS.variables, ids=lambda variable: variable["name"])
def test_every_variable_has_choices(shown: Shown, variable: dict[str, object]) -> None:
    if asked := named_choices(variable):
        options = shown.prometheus.newest(filled_in(asked, shown.chosen), at=shown.now)
        number = {"customer": COUNT, "product": len(shown.partners[0].customers.products)}
        name = str(variable["name"])
        assert len(options) == number[name] * len(shown.partners) if name in number else 0 < len(options) <= TOP
    else:
        selector, label = choices_query(variable)
        assert shown.prometheus.label_values(filled_in(selector, shown.chosen), label)


def test_totals_are_those_of_all_customers(shown: Shown) -> None:
    usage = shown.usage()
    idle = sum(whole - part for whole, part in usage.values())
    assert shown.only("Customers") == len(usage)
    assert shown.only("Idle licences") == idle
    assert shown.only("Idle share") == pytest.approx(idle / sum(whole for whole, _ in usage.values()))
    deployment = [
        pair
        for partner in shown.partners
        for (_, _, _, workload, _), pair in partner.counts(shown.now).items()
        if not workload
    ]
    assert shown.only("Idle licences", "B") == sum(sold - deployed for sold, deployed in deployment)
    assert shown.only("Left out, last day") == 0
    assert sum(shown.ask("Idle licences over time").values()) == idle


@pytest.mark.parametrize("workload", [None, "Exchange", "Yammer"])
def test_customers_below_target_are_those_that_use_too_little_of_what_has_a_target(
    shown: Shown, workload: str | None
) -> None:
    short: dict[Key, float] = defaultdict(float)
    for partner in shown.partners:
        for (customer, _, _, name, _), (whole, part) in partner.counts(shown.now).items():
            if name in TARGETS and workload in (None, name):
                short[partner.name, customer] += TARGETS[name] * whole - part
    below = sum(lack > 0.001 for lack in short.values())
    if workload is None:
        assert 0 < below < len(short)
        assert shown.only("Customers below target") == below
        assert sum(shown.ask("Customers below target over time").values()) == below
    elif workload in TARGETS:
        assert shown.only("Customers below target", workload=workload) == below
    else:
        assert shown.ask("Customers below target", workload=workload) == {}


@pytest.mark.parametrize("workload", [None, "Teams"])
def test_rankings_are_right_and_name_the_customers(shown: Shown, workload: str | None) -> None:
    chosen = {} if workload is None else {"workload": workload}
    now, week, month = (shown.usage(ago, workload=workload or "") for ago in (0, WEEK_SECONDS, 4 * WEEK_SECONDS))
    idle = {key: whole - part for key, (whole, part) in now.items()}
    ranked = shown.by_customer("Most idle licences", **chosen)
    assert sorted(ranked.values()) == sorted(idle.values())[-TOP:]
    assert ranked == {key: idle[key] for key in ranked}
    ratio = {key: part / whole for key, (whole, part) in now.items() if whole}
    assert shown.by_customer("Most idle licences", "B", **chosen) == pytest.approx({key: ratio[key] for key in ranked})
    for letter, then in (("C", week), ("D", month)):
        changes = {key: idle[key] - (then[key][0] - then[key][1]) for key in ranked}
        assert shown.by_customer("Most idle licences", letter, **chosen) == changes
    lowest = shown.by_customer("Lowest usage", **chosen)
    assert sorted(lowest.values()) == pytest.approx(sorted(ratio.values())[:TOP])
    names = {c.tenant_id: c.name for partner in shown.partners for c in partner.customers.all}
    assert {dict(labels)["customer_name"] for labels in shown.ask("Lowest usage", **chosen)} == {
        names[customer] for _, customer in lowest
    }


def test_movers_are_those_whose_use_changed_most(shown: Shown) -> None:
    now, then = shown.usage(), shown.usage(4 * WEEK_SECONDS)
    change = {key: now[key][1] - then[key][1] for key in now}
    for panel, sign in (("Movers down", -1), ("Movers up", 1)):
        moved = shown.by_customer(panel)
        wanted = sorted((sign * points for points in change.values() if sign * points > 0), reverse=True)[:TOP]
        assert sorted((sign * value for value in moved.values()), reverse=True) == wanted
        assert moved == {key: change[key] for key in moved}


def test_every_customer_is_in_one_band(shown: Shown) -> None:
    bands: dict[str, float] = defaultdict(float)
    for whole, part in shown.usage().values():
        if whole:
            bands[str(min(int(part / whole * 5), 4) * 20)] += 1
    found = {dict(labels)["percent"]: value for labels, value in shown.ask("Customers by usage").items()}
    assert found == bands
    assert len(found) > 2, "the simulated customers differ"


def test_one_customer_is_shown_by_workload_service_and_product(shown: Shown) -> None:
    customer = shown.chosen["customer"]
    own = {key: pair for key, pair in shown.partners[0].counts(shown.now).items() if key[0] == customer}
    workloads: dict[tuple[str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for (_, _, service, workload, _), pair in own.items():
        have = workloads[service, workload]
        workloads[service, workload] = (have[0] + pair[0], have[1] + pair[1])
    ratios = {key: part / whole for key, (whole, part) in workloads.items() if key[1] and whole}
    found = {(dict(k)["service"], dict(k)["workload"]): v for k, v in shown.ask("Usage by workload").items()}
    assert found == pytest.approx(ratios)
    sold = {service: whole for (service, workload), (whole, _) in workloads.items() if not workload}
    assert {dict(k)["service"]: v for k, v in shown.ask("Licences by service").items()} == sold
    assert {dict(k)["product_name"] for k in shown.ask("Usage by product")} <= {
        product.name for product in shown.partners[0].customers.products
    }


def test_products_have_their_names_and_counts(shown: Shown) -> None:
    sums: dict[tuple[str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for partner in shown.partners:
        for (_, product, _, workload, _), pair in partner.counts(shown.now).items():
            if workload:
                have = sums[partner.name, product]
                sums[partner.name, product] = (have[0] + pair[0], have[1] + pair[1])
    table = "Products, lowest usage first"
    found = {(dict(k)["partner"], dict(k)["product_id"]): v for k, v in shown.ask(table).items()}
    assert found == pytest.approx({key: part / whole for key, (whole, part) in sums.items()})
    idle = {(dict(k)["partner"], dict(k)["product_id"]): v for k, v in shown.ask(table, "B").items()}
    assert idle == {key: whole - part for key, (whole, part) in sums.items()}


def test_without_customers_a_ranking_is_empty(shown: Shown) -> None:
    chosen = shown.chosen | {"partner": "nobody"}
    assert {
        with_rankings(chosen, lambda query: shown.prometheus.newest(query, at=shown.now))[v["name"]] for v in RANKINGS
    } == {"()"}
    for panel in ("Most idle licences", "Lowest usage", "Movers down", "Movers up"):
        assert shown.ask(panel, partner="nobody") == {}
