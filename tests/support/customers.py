"""Customers' licences now and thirty days ago, as Prometheus stores them of two replicas."""

import json
from collections.abc import Iterator

DAY_SECONDS = 86_400
HOSTILE = "=<script>document.title='broken'</script>|\"x\" `*_[a](b)"
NAMES = {"A1": "Adatum", "B2": HOSTILE, "G7": "Graphic & Sons", "N8": "Northwind", "Z9": "Zero", "F4": "Fourth Coffee"}
THEN: dict[str, dict[str, tuple[float, float]]] = {
    "contoso": {"A1": (40, 100), "B2": (50, 50), "G7": (30, 60)},
    "fabrikam": {"F4": (1, 10)},
}
NOW: dict[str, dict[str, tuple[float, float]]] = {
    "contoso": {"A1": (70, 100), "B2": (5, 50), "N8": (20, 40), "Z9": (0, 0)},
    "fabrikam": {"F4": (9, 10)},
}
"""Licences of Exchange in use and qualified, by partner and customer; A1 has 10 of 20 of Teams besides."""
DEPLOYED: dict[str, dict[str, tuple[float, float]]] = {
    "contoso": {"A1": (150, 200), "B2": (60, 60)},
    "fabrikam": {"F4": (12, 10)},
}
"""Licences deployed and sold, now as then."""
# What an exporter without detail exports, and one that has been down for three hours.
PLAIN, LATE = "plain", "late"


def lines(now: float) -> Iterator[str]:
    """Yield the samples as OpenMetrics lines, from ten minutes before both times until ten minutes after."""
    for at, usage in ((now - 30 * DAY_SECONDS, THEN), (now, NOW)):
        for minute in range(-10, 11):
            yield from _samples(at + 60 * minute, usage)
    for minute in range(-10, 11):
        labels = {"partner": LATE, "customer_id": "L1"}
        at = now - 6 * 3_600 + 60 * minute
        yield _line("partnercenter_customer_info", labels | {"customer_name": "Late"}, 1, at)
        yield from _counts(("partnercenter_licenses_active", "partnercenter_licenses_qualified"), labels, (1, 2), at)


def _samples(at: float, usage: dict[str, dict[str, tuple[float, float]]]) -> Iterator[str]:
    used = ("partnercenter_licenses_active", "partnercenter_licenses_qualified")
    for replica in ("exporter-0", "exporter-1"):
        own = {"job": "partnercenter-exporter", "instance": replica, "channel": "reseller", "service": "o365"}
        for partner, customers in usage.items():
            exchange = own | {"partner": partner, "workload": "Exchange"}
            yield _line("partnercenter_license_usage_ratio", exchange, 0.5, at)
            yield _line("partnercenter_license_usage_target_ratio", exchange, 0.6, at)
            for customer, counts in customers.items():
                named = {"partner": partner, "customer_id": customer}
                yield _line(
                    "partnercenter_customer_info",
                    named | {"instance": replica, "customer_name": NAMES[customer]},
                    1,
                    at,
                )
                # Two products, of which the second has half.
                for product in ("P1", "P2"):
                    halves = (counts[0] / 2, counts[1] / 2)
                    yield from _counts(used, exchange | named | {"product_id": product}, halves, at)
                for deployed in [DEPLOYED[partner][customer]] if customer in DEPLOYED[partner] else []:
                    names = ("partnercenter_licenses_deployed", "partnercenter_licenses_sold")
                    yield from _counts(names, own | named, deployed, at)
        if usage is NOW:
            teams = own | {"partner": "contoso", "workload": "Teams", "customer_id": "A1"}
            yield from _counts(used, teams, (10, 20), at)
            for partner, customer, ratio in (("contoso", "A1", 0.8), ("fabrikam", "F4", 0.95)):
                labels = own | {"partner": partner, "workload": "Exchange", "customer_id": customer}
                yield _line("partnercenter_customer_usage_target_ratio", labels, ratio, at)
            yield _line("partnercenter_license_usage_ratio", own | {"partner": PLAIN, "workload": "Teams"}, 0.5, at)


def _counts(names: tuple[str, str], labels: dict[str, str], counts: tuple[float, float], at: float) -> Iterator[str]:
    for name, count in zip(names, counts, strict=True):
        yield _line(name, labels, count, at)


def _line(name: str, labels: dict[str, str], value: float, at: float) -> str:
    pairs = ",".join(f"{label}={json.dumps(text, ensure_ascii=False)}" for label, text in labels.items())
    return f"{name}{{{pairs}}} {value!r} {at:.3f}"
