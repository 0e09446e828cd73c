"""JSON bodies as the API writes them, with all the variety that recorded answers show."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from partnercenter_simulator.dataset import DeploymentFigure, UsageFigure, chance

Json: TypeAlias = "str | float | bool | Mapping[str, Json] | Sequence[Json] | None"
Wall: TypeAlias = Callable[[datetime], datetime]

BOM = b"\xef\xbb\xbf"
"""The byte-order mark that the analytics endpoints put in front of their JSON."""


def usage_body(figures: Iterable[UsageFigure], *, seed: int, wall: Wall) -> bytes:
    """Write partner usage (Microsoft: get-partner-licenses-usage-information), a byte-order mark in front."""
    return _collection([_usage_item(figure, seed, wall) for figure in figures], seed)


def deployment_body(figures: Iterable[DeploymentFigure], *, seed: int, wall: Wall) -> bytes:
    """Write partner deployment (get-partner-licenses-deployment-information), a byte-order mark in front."""
    return _collection([_deployment_item(figure, seed, wall) for figure in figures], seed)


def fault_body(code: int | str, description: str) -> bytes:
    """Write the documented error (Microsoft: error-codes): its code is a string in most recordings."""
    return dump({"code": str(code), "description": description, "data": [], "source": "PartnerApi"})


def dump(document: Json) -> bytes:
    """Write compact JSON, as the API does; what is not ASCII is escaped."""
    return json.dumps(document, separators=(",", ":")).encode()


def spell(moment: datetime, *key: object) -> str:
    """Spell a UTC time in one of the ways on record: Z or an offset, a fraction of 0, 2 or 7 digits.

    The fraction is cut, not rounded, so that a stamp never passes the clock it came from.
    """
    fraction = ("", f".{moment.microsecond // 10_000:02d}", f".{moment.microsecond:06d}0")
    zone = "Z" if chance("zone", *key) < 1 / 2 else "+00:00"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction[int(3 * chance('fraction', *key))]}{zone}"


def _usage_item(figure: UsageFigure, seed: int, wall: Wall) -> Json:
    key = (seed, figure.workload, figure.service, figure.channel)
    item: dict[str, Json] = {
        "proratedLicensesUsagePercent": _number(figure.percent, *key),
        "workloadName": figure.workload,
        "processedDateTime": spell(wall(figure.processed_at), *key),
        "serviceName": figure.service,
        "channel": figure.channel,
        "attributes": {"objectType": "PartnerLicensesUsageInsights"},
    }
    return _shuffled(item, *key, figure.processed_at.date())


def _deployment_item(figure: DeploymentFigure, seed: int, wall: Wall) -> Json:
    key = (seed, figure.service, figure.channel)
    item: dict[str, Json] = {
        "proratedDeploymentPercent": _number(figure.percent, *key),
        "licensesSold": _number(figure.sold, *key),
        "processedDateTime": spell(wall(figure.processed_at), *key),
        "serviceName": figure.service,
        "channel": figure.channel,
        "attributes": {"objectType": "PartnerLicensesDeploymentInsights"},
    }
    return _shuffled(item, *key, figure.processed_at.date())


def _collection(items: Sequence[Json], seed: int) -> bytes:
    kind: Json = {"objectType": "Collection"}
    envelope: dict[str, Json] = {"totalCount": len(items), "items": items, "attributes": kind}
    return BOM + dump(_shuffled(envelope, seed, "envelope"))


def _number(value: float, *key: object) -> float:
    """Write a whole number now as an int, now as a float: 343 and 206.0 are both on record."""
    if value != int(value):
        return value
    return int(value) if chance("number", *key) < 1 / 2 else float(value)


def _shuffled(mapping: Mapping[str, Json], *key: object) -> Mapping[str, Json]:
    return dict(sorted(mapping.items(), key=lambda entry: chance("order", *key, entry[0])))
