"""The JSON of the legacy endpoints, with all the variation that recorded responses show."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from partnercenter_simulator.dataset import DeploymentFigure, UsageFigure, chance

Json: TypeAlias = "str | float | bool | Mapping[str, Json] | Sequence[Json] | None"
WallClock: TypeAlias = Callable[[datetime], datetime]
"""Converts the data's time to the wall clock's: `SimulatedTime.on_wall`."""

BOM = b"\xef\xbb\xbf"
"""The byte-order mark that the analytics endpoints put before their JSON."""


def usage_body(figures: Iterable[UsageFigure], *, seed: int, wall: WallClock) -> bytes:
    """Return partner usage with a byte-order mark (Microsoft: get-partner-licenses-usage-information)."""
    return _collection([_usage_item(figure, seed, wall) for figure in figures], seed)


def deployment_body(figures: Iterable[DeploymentFigure], *, seed: int, wall: WallClock) -> bytes:
    """Return partner deployment with a byte-order mark (get-partner-licenses-deployment-information)."""
    return _collection([_deployment_item(figure, seed, wall) for figure in figures], seed)


def error_body(code: int | str, description: str) -> bytes:
    """Return the documented error (Microsoft: error-codes); most recordings have its code as a string."""
    return dump({"code": str(code), "description": description, "data": [], "source": "PartnerApi"})


def dump(document: Json) -> bytes:
    """Return compact, ASCII-only JSON, as the API writes it."""
    return json.dumps(document, separators=(",", ":")).encode()


def format_time(moment: datetime, *key: object) -> str:
    """Format a UTC time in one of the recorded ways: with Z or an offset, and 0, 2 or 7 decimals.

    Decimals are truncated, not rounded, so that a timestamp is never later than the clock it came from.
    """
    fraction = ("", f".{moment.microsecond // 10_000:02d}", f".{moment.microsecond:06d}0")
    zone = "Z" if chance("zone", *key) < 1 / 2 else "+00:00"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction[int(3 * chance('fraction', *key))]}{zone}"


def _usage_item(figure: UsageFigure, seed: int, wall: WallClock) -> Json:
    key = (seed, figure.workload, figure.service, figure.channel)
    values: dict[str, Json] = {
        "proratedLicensesUsagePercent": _number(figure.percent, *key),
        "workloadName": figure.workload,
        "attributes": {"objectType": "PartnerLicensesUsageInsights"},
    }
    return _item(figure, values, key, wall)


def _deployment_item(figure: DeploymentFigure, seed: int, wall: WallClock) -> Json:
    key = (seed, figure.service, figure.channel)
    values: dict[str, Json] = {
        "proratedDeploymentPercent": _number(figure.percent, *key),
        "licensesSold": _number(figure.sold, *key),
        "attributes": {"objectType": "PartnerLicensesDeploymentInsights"},
    }
    return _item(figure, values, key, wall)


def _item(
    figure: UsageFigure | DeploymentFigure, values: dict[str, Json], key: tuple[object, ...], wall: WallClock
) -> Json:
    common = {
        "processedDateTime": format_time(wall(figure.processed_at), *key),
        "serviceName": figure.service,
        "channel": figure.channel,
    }
    return _shuffled({**values, **common}, *key, figure.processed_at.date())


def _collection(items: Sequence[Json], seed: int) -> bytes:
    attributes: Json = {"objectType": "Collection"}
    envelope: dict[str, Json] = {"totalCount": len(items), "items": items, "attributes": attributes}
    return BOM + dump(_shuffled(envelope, seed, "envelope"))


def _number(value: float, *key: object) -> float:
    """Return a whole number as either int or float: recorded responses have both 343 and 206.0."""
    if value != int(value):
        return value
    return int(value) if chance("number", *key) < 1 / 2 else float(value)


def _shuffled(mapping: Mapping[str, Json], *key: object) -> Mapping[str, Json]:
    return dict(sorted(mapping.items(), key=lambda entry: chance("order", *key, entry[0])))
