"""The rows of the dashboard on customers, for the partner manager.

Most queries read what `prometheus/rules/customers.yaml` records by customer and service, over all workloads. Workloads
that are chosen are read from the exporter's own series: for all of them `$workload` is a regular expression that only
the recorded series match, since they have no such label, and otherwise a name, which only the exporter's have.
"""

from collections.abc import Callable, Sequence
from typing import Any

from exporter.metrics import catalogue
from exporter.metrics.catalogue import Metric
from grafana.panels import (
    BAR,
    COUNT,
    NO_TARGET,
    RATIO,
    Json,
    bar_chart,
    colored,
    ids_variable,
    instant,
    lines,
    over_time,
    override,
    stat,
    steps,
    table,
)
from grafana.queries import on_graph

UID = "partnercenter-customers"
ALL_WORKLOADS = "()"  # a regular expression that only an empty label matches
TOP = 20

_PARTNER = 'partner=~"$partner"'
_SERVICE = f'{_PARTNER}, service=~"$service"'
_WORKLOAD = f'{_SERVICE}, workload=~"$workload"'
_BY = "partner, customer_id"
_CUSTOMER = f'customer_id!="", {_SERVICE}, product_id=~"$product", customer_id=~"$customer"'
_MONTH, _WEEK = " offset 4w", " offset 1w"
_QUALIFIED_ACTIVE_SOLD_DEPLOYED = (
    catalogue.LICENSES_QUALIFIED,
    catalogue.LICENSES_ACTIVE,
    catalogue.LICENSES_SOLD,
    catalogue.LICENSES_DEPLOYED,
)

_NO_CUSTOMERS = (
    "No customers: set api: commercial and detail: [customer] for usage and deployment in the exporter's configuration"
)
_NOT_RECORDED = (
    "No figures by customer: set api: commercial and detail: [customer] in the exporter's configuration, and load "
    "prometheus/rules/customers.yaml in Prometheus"
)
_NO_TARGETS = "No targets: set targets in the exporter's configuration, and load prometheus/rules/customers.yaml"
_NO_PRODUCTS = (
    "No products: add product to detail in the exporter's configuration, and load prometheus/rules/customers.yaml"
)
_NO_CUSTOMER = "No data: choose a customer above, or set detail: [customer] in the exporter's configuration"
_NO_PAST = (
    "No figures from four weeks ago yet: load prometheus/rules/customers.yaml and wait, or compute its past with "
    "promtool tsdb create-blocks-from rules"
)

_LESS_IS_BETTER = steps("green", (-0.5, "text"), (0.5, "orange"), lowest=-1e9)
_MORE_IS_BETTER = steps("red", (-0.5, "text"), (0.5, "green"), lowest=-1e9)
_MEETS_TARGET = steps("red", (-0.001, "green"), lowest=-1e9)
_LINK = {
    "title": "Show ${__data.fields.customer_name}",
    "url": (
        f"/d/{UID}?${{__url_time_range}}&${{datasource:queryparam}}&${{partner:queryparam}}&${{service:queryparam}}"
        "&${workload:queryparam}&${product:queryparam}&var-customer=${__data.fields.customer_id}"
    ),
}


def _recorded(level: str, metric: Metric, operation: str = "sum") -> str:
    return f"{level}:{metric.name}:{operation}"


def _drawn(name: str, matchers: str) -> str:
    return on_graph(f"{name}{{{matchers}}}")


def _of_customer(metric: Metric, past: str = "", of: str = "") -> str:
    """Return a count of each customer, added up over the services and workloads that are chosen.

    `of` selects customers: by default all of them.
    """
    recorded = _recorded("partner_customer_id_service", metric)
    if "workload" not in metric.labels:
        return f"sum by ({_BY}) (max by ({_BY}, service) ({recorded}{{{_SERVICE}{of}}}{past}))"
    total = f"sum by ({_BY}) (max by ({_BY}, service) ({recorded}{{{_WORKLOAD}{of}}}{past}))"
    return f"({total} or sum by ({_BY}) ({_by_product(metric, past, of)}))"


def _by_product(metric: Metric, past: str = "", of: str = "") -> str:
    """Return a count of each customer by product, workload and channel, of the workloads that are chosen by name.

    Where all of them are chosen, `workload!=""` spares Prometheus from looking for series without that label.
    """
    labels = f"{_BY}, service, workload, channel, product_id"
    return f'max by ({labels}) ({metric.name}{{customer_id!="", workload!="", {_WORKLOAD}{of}}}{past})'


def _by_workload(metric: Metric, of: str = "") -> str:
    """Return a count of each customer by workload and channel, of the workloads that are chosen by name."""
    return f"sum by ({_BY}, service, workload, channel) ({_by_product(metric, of=of)})"


def _total(metric: Metric) -> str:
    """Return a count of all customers together: far fewer series than one for each."""
    recorded = _recorded("partner_service", metric)
    if "workload" not in metric.labels:
        return f"sum(max by (partner, service) ({recorded}{{{_SERVICE}}}))"
    total = f"sum(max by (partner, service) ({recorded}{{{_WORKLOAD}}}))"
    return f"({total} or sum({_by_product(metric)}))"


def _shortfall(of: str = "") -> str:
    """Return how many licences each customer lacks to its targets; see the rule of the same name."""
    recorded = _recorded("partner_customer_id_service", catalogue.USAGE_TARGET, "sum_shortfall")
    total = f"sum by ({_BY}) (max by ({_BY}, service) ({recorded}{{{_WORKLOAD}{of}}}))"
    of_workload = "partner, service, workload, channel"
    own = f'{catalogue.CUSTOMER_TARGET.name}{{workload!="", {_WORKLOAD}{of}}}'
    common = f'{catalogue.USAGE_TARGET.name}{{workload!="", {_WORKLOAD}}}'
    qualified = _by_workload(catalogue.LICENSES_QUALIFIED, of)
    wanted = (
        f"({qualified} * on ({_BY}, service, workload, channel) group_left () "
        f"max by ({_BY}, service, workload, channel) ({own}) "
        f"or {qualified} * on ({of_workload}) group_left () max by ({of_workload}) ({common}))"
    )
    return f"({total} or sum by ({_BY}) ({wanted} - {_by_workload(catalogue.LICENSES_ACTIVE, of)}))"


def _unused(past: str = "", of: str = "") -> str:
    qualified, used = (_of_customer(m, past, of) for m in (catalogue.LICENSES_QUALIFIED, catalogue.LICENSES_ACTIVE))
    return f"({qualified} - {used})"


def _usage(past: str = "", of: str = "") -> str:
    used, qualified = (_of_customer(m, past, of) for m in (catalogue.LICENSES_ACTIVE, catalogue.LICENSES_QUALIFIED))
    return f"({used} / ({qualified} > 0))"


def _most_idle(of: str = "") -> str:
    return f"topk({TOP}, {_unused(of=of)})"


def _lowest_usage(of: str = "") -> str:
    return f"bottomk({TOP}, {_usage(of=of)})"


def _movers_down(of: str = "") -> str:
    """Return whose use fell most within four weeks; a customer that is gone uses nothing.

    A sum reads each of the two once; a difference would read the past again for those that are gone.
    """
    used, then = (_of_customer(catalogue.LICENSES_ACTIVE, past, of) for past in ("", _MONTH))
    change = f'sum by ({_BY}) (label_replace({used}, "at", "now", "", "") or -{then})'
    return f"bottomk({TOP}, {change} < 0)"


def _movers_up(of: str = "") -> str:
    used, then = (_of_customer(catalogue.LICENSES_ACTIVE, past, of) for past in ("", _MONTH))
    return f"topk({TOP}, {used} - {then} > 0)"


RANKINGS = {
    "most_idle": _most_idle,
    "lowest_usage": _lowest_usage,
    "movers_down": _movers_down,
    "movers_up": _movers_up,
}
"""The rankings, by the hidden variable that has the customers of each.

To find twenty of ten thousand takes a table's query most of a second, so one query of each does: the columns read the
figures of these twenty alone.
"""


def ranked_variables() -> list[Json]:
    """Return the hidden variables."""
    return [ids_variable(name, ranking(), "customer_id") for name, ranking in RANKINGS.items()]


def _in(ranking: str) -> str:
    return f', customer_id=~"${ranking}"'


def _names(info: Metric, of: str = "", read: Callable[[str], str] = str) -> str:
    """Return the names of customers or products: one each, even while two replicas know different ones."""
    *by, name = info.labels
    known = read(f'{info.name}{{{by[-1]}!="", {_PARTNER}{of}}}')
    return f"topk by ({', '.join(by)}) (1, max by ({', '.join(by)}, {name}) ({known}))"


def _ranked(ranking: str, *columns: str) -> list[Json]:
    """Return the queries of a table: these customers with their names, then each further column for them alone."""
    chosen = RANKINGS[ranking](_in(ranking))
    named = f"{chosen} * on ({_BY}) group_left (customer_name) {_names(catalogue.CUSTOMER_INFO, _in(ranking))}"
    return [
        instant(named, table=True),
        *(instant(f"{column} and on ({_BY}) {chosen}", table=True) for column in columns),
    ]


def _customers_table(
    *described: Any, columns: dict[str, str], changes: Sequence[Json], no_value: str = _NOT_RECORDED, **more: Any
) -> Json:
    names = {"customer_name": "Customer", "partner": "Partner", "customer_id": "customer_id"}
    return table(
        *described,
        columns=names | columns,
        overrides=[
            override("byName", "Customer", links=[_LINK], custom__minWidth=220),
            override("byName", "Partner", custom__width=110),
            override("byName", "customer_id", custom__hidden=True),
            override("byRegexp", "(Idle|In use)", unit="locale", decimals=0, custom__width=80),
            *changes,
        ],
        no_value=no_value,
        **more,
    )


def _changes(colors: Json, *titles: str, **shown: Any) -> list[Json]:
    return [colored(title, colors, width=90, **shown) for title in titles or ("± 1 week", "± 4 weeks")]


def overview() -> list[Json]:
    """Return the totals over all customers."""
    qualified, used, sold, deployed = (_total(metric) for metric in _QUALIFIED_ACTIVE_SOLD_DEPLOYED)
    dropped = f'{catalogue.ROWS_DROPPED.name}{{{_PARTNER}, reason="limit"}}'
    return [
        stat(
            "Customers",
            "How many customers the exporter knows by name.",
            [instant(f"count(max by ({_BY}) ({catalogue.CUSTOMER_INFO.name}{{{_PARTNER}}}))", "customers")],
            defaults=COUNT | {"noValue": _NO_CUSTOMERS},
            size=(4, 5),
        ),
        stat(
            "Customers below target",
            "Customers that use fewer licences than their targets ask for, added up over the chosen services and "
            "workloads. A target that names the customer comes before that of the workload.",
            [instant(f"sum({_shortfall()} > bool 0.001)", "below target")],
            defaults={"unit": "locale", "thresholds": steps("green", (1, "orange")), "noValue": _NO_TARGETS},
            size=(4, 5),
            runbooks=["PartnerCenterCustomersFellBelowTarget"],
        ),
        stat(
            "Idle licences",
            "Licences that nobody uses: of those that qualify, added up over workloads (a licence counts once for each "
            "workload that it includes), and of those sold, the ones that no user has.",
            [instant(f"{qualified} - {used}", "not used"), instant(f"{sold} - {deployed}", "not deployed")],
            defaults=COUNT | {"noValue": _NOT_RECORDED},
            text="value_and_name",
            size=(6, 5),
        ),
        stat(
            "Idle share",
            "The share of licences that nobody uses: of those that qualify, and of those sold.",
            [instant(f"1 - {used} / {qualified}", "not used"), instant(f"1 - {deployed} / {sold}", "not deployed")],
            defaults=RATIO | {"thresholds": steps("text"), "noValue": _NOT_RECORDED},
            text="value_and_name",
            size=(6, 5),
        ),
        stat(
            "Left out, last day",
            "Rows of polls in the last day that poll.max_series cut off, always the same ones. The default of 100,000 "
            "holds about 4,100 customers: raise it if this is not 0.",
            [instant(f"sum(increase({dropped}[1d]))", "rows")],
            defaults={"unit": "locale", "decimals": 0, "thresholds": steps("green", (1, "red")), "noValue": "unknown"},
            size=(4, 5),
            runbooks=["PartnerCenterRowsDropped"],
        ),
    ]


def development() -> list[Json]:
    """Return whether it gets better, and how usage is distributed."""
    qualified, used, sold, deployed = (
        f"sum by (partner) (max by (partner, service) ({_drawn(_recorded('partner_service', metric), _SERVICE)}))"
        for metric in _QUALIFIED_ACTIVE_SOLD_DEPLOYED
    )
    short = _recorded("partner", catalogue.USAGE_TARGET, "count_short")
    return [
        lines(
            "Idle licences over time",
            "Licences that nobody uses, and licences that no user has, of all workloads.",
            [
                over_time(f"{qualified} - {used}", "not used · {{partner}}"),
                over_time(f"{sold} - {deployed}", "not deployed · {{partner}}"),
            ],
            defaults={"unit": "locale", "decimals": 0, "noValue": _NOT_RECORDED},
            size=(8, 9),
        ),
        lines(
            "Customers below target over time",
            "How many customers use fewer licences than their targets ask for, over all services and workloads.",
            [over_time(f"max by (partner) ({_drawn(short, _PARTNER)})", "{{partner}}")],
            defaults={"unit": "locale", "decimals": 0, "min": 0, "noValue": _NO_TARGETS},
            size=(8, 9),
            runbooks=["PartnerCenterCustomersFellBelowTarget"],
        ),
        bar_chart(
            "Customers by usage",
            "How many customers use which share of their licences: 0 stands for 0 to 20 %, 80 for 80 % and more. "
            "Customers without licences are left out.",
            [instant(f'count_values("percent", clamp_max(floor({_usage()} * 5), 4) * 20)', table=True)],
            category="percent",
            value="Customers",
            defaults={"unit": "locale", "decimals": 0, "min": 0, "noValue": _NOT_RECORDED},
            size=(8, 9),
        ),
    ]


def rankings() -> list[Json]:
    """Return the customers with the most idle licences, and those with the lowest usage."""
    idle, lowest = _in("most_idle"), _in("lowest_usage")
    usage = override("byName", "Usage", **BAR, custom__width=200)
    target = colored("vs. target", _MEETS_TARGET, width=90, unit="locale", decimals=0, mappings=NO_TARGET)
    return [
        _customers_table(
            "Most idle licences",
            "The twenty customers with the most licences that nobody uses, and how many more those are than a week and "
            "four weeks ago. Choose a customer to see its own history below.",
            _ranked(
                "most_idle",
                _usage(of=idle),
                f"({_unused(of=idle)} - {_unused(_WEEK, idle)})",
                f"({_unused(of=idle)} - {_unused(_MONTH, idle)})",
            ),
            columns={"A": "Idle", "B": "Usage", "C": "± 1 week", "D": "± 4 weeks"},
            changes=[usage, *_changes(_LESS_IS_BETTER, unit="locale", decimals=0)],
            sort="Idle",
            descending=True,
            size=(24, 10),
        ),
        _customers_table(
            "Lowest usage",
            "The twenty customers that use the smallest share of their licences, how many are idle, and how many more "
            "are in use than the targets ask for (red: fewer). Their colours follow the targets: usage without one has "
            "none. The change since a week and four weeks ago is in percentage points.",
            _ranked(
                "lowest_usage",
                _unused(of=lowest),
                f"({_usage(of=lowest)} - {_usage(_WEEK, lowest)}) * 100",
                f"({_usage(of=lowest)} - {_usage(_MONTH, lowest)}) * 100",
                f"-{_shortfall(lowest)}",
            ),
            columns={"A": "Usage", "E": "vs. target", "B": "Idle", "C": "± 1 week", "D": "± 4 weeks"},
            changes=[usage, target, *_changes(_MORE_IS_BETTER, unit="none", decimals=1)],
            sort="Usage",
            size=(24, 10),
        ),
    ]


def movers() -> list[Json]:
    """Return the customers whose use changed most in four weeks."""
    return [
        _customers_table(
            f"Movers {name}",
            f"The twenty customers whose licences in use {verb} most within four weeks.",
            _ranked(ranking, _of_customer(catalogue.LICENSES_ACTIVE, of=_in(ranking)), _usage(of=_in(ranking))),
            columns={"A": "± 4 weeks", "B": "In use", "C": "Usage"},
            changes=[
                override("byName", "Usage", **RATIO, custom__width=80),
                *_changes(_MORE_IS_BETTER, "± 4 weeks", unit="locale", decimals=0),
            ],
            sort="± 4 weeks",
            descending=name == "up",
            no_value=_NO_PAST,
            size=(12, 13),
            **links,
        )
        for name, verb, ranking, links in (
            ("down", "fell", "movers_down", {"runbooks": ["PartnerCenterLargeCustomersUseLess"]}),
            ("up", "rose", "movers_up", {}),
        )
    ]


def one_customer() -> list[Json]:
    """Return the chosen customer's history by workload, service and product."""

    def count(metric: Metric, by: str) -> str:
        labels = ", ".join((*metric.labels, *metric.detail_labels))
        return f"sum by ({by}) (max by ({labels}) ({_drawn(metric.name, _CUSTOMER)}))"

    def ratio(part: Metric, whole: Metric, by: str) -> str:
        return f"{count(part, by)} / ({count(whole, by)} > 0)"

    product = (
        f"{ratio(catalogue.LICENSES_ACTIVE, catalogue.LICENSES_QUALIFIED, 'partner, product_id')}"
        f" * on (partner, product_id) group_left (product_name) {_names(catalogue.PRODUCT_INFO, read=on_graph)}"
    )
    return [
        lines(
            "Usage by workload",
            "Licences in use out of those that qualify, of the customer chosen above.",
            [
                over_time(
                    ratio(catalogue.LICENSES_ACTIVE, catalogue.LICENSES_QUALIFIED, "partner, service, workload"),
                    "{{workload}} · {{service}}",
                )
            ],
            defaults=RATIO | {"noValue": _NO_CUSTOMER},
            size=(12, 11),
        ),
        lines(
            "Licences by service",
            "Licences sold to the customer chosen above, and those that a user has.",
            [
                over_time(count(catalogue.LICENSES_SOLD, "partner, service"), "sold · {{service}}"),
                over_time(count(catalogue.LICENSES_DEPLOYED, "partner, service"), "deployed · {{service}}"),
            ],
            defaults=COUNT | {"min": 0, "noValue": _NO_CUSTOMER},
            size=(12, 11),
        ),
        lines(
            "Usage by product",
            "Licences in use out of those that qualify, of the customer chosen above.",
            [over_time(product, "{{product_name}}")],
            defaults=RATIO | {"noValue": _NO_PRODUCTS},
            size=(24, 9),
        ),
    ]


def products() -> list[Json]:
    """Return the products with the most idle licences, and with the lowest usage."""

    def count(metric: Metric, past: str = "") -> str:
        recorded = _recorded("partner_product_id_service", metric)
        chosen = f'{recorded}{{{_SERVICE}, product_id=~"$product"}}{past}'
        return f"sum by (partner, product_id) (max by (partner, product_id, service) ({chosen}))"

    used, qualified = (count(m) for m in (catalogue.LICENSES_ACTIVE, catalogue.LICENSES_QUALIFIED))
    before, before_qualified = (count(m, _MONTH) for m in (catalogue.LICENSES_ACTIVE, catalogue.LICENSES_QUALIFIED))
    undeployed = f"{count(catalogue.LICENSES_SOLD)} - {count(catalogue.LICENSES_DEPLOYED)}"
    names = _names(catalogue.PRODUCT_INFO)
    queries = [
        f"{used} / ({qualified} > 0) * on (partner, product_id) group_left (product_name) {names}",
        f"{qualified} - {used}",
        undeployed,
        f"({used} / ({qualified} > 0) - {before} / ({before_qualified} > 0)) * 100",
        count(catalogue.LICENSES_SOLD),
    ]
    return [
        table(
            "Products, lowest usage first",
            "Usage of each product, the licences that nobody uses (added up over workloads), those sold that no user "
            "has, and the change of usage since four weeks ago in percentage points.",
            [instant(query, table=True) for query in queries],
            columns={
                "product_name": "Product",
                "partner": "Partner",
                "product_id": "",
                "A": "Usage",
                "B": "Idle",
                "E": "Sold",
                "C": "Not deployed",
                "D": "± 4 weeks",
            },
            sort="Usage",
            overrides=[
                override("byName", "Usage", **BAR, custom__width=200),
                override("byName", "Product", custom__minWidth=260),
                override("byName", "Partner", custom__width=120),
                override("byRegexp", "(Idle|Sold)", unit="locale", decimals=0, custom__width=90),
                override("byName", "Not deployed", unit="locale", decimals=0, custom__width=110),
                *_changes(_MORE_IS_BETTER, "± 4 weeks", unit="none", decimals=1),
            ],
            no_value=_NO_PRODUCTS,
            size=(24, 9),
        )
    ]  # fmt: skip
