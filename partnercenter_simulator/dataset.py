"""A plausible partner: how many licences it has sold, and how many are in use, on any date."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import blake2b

CHANNELS = {"reseller": 1.0, "direct": 0.14}
"""The sales channels, and their sales relative to the reseller channel."""

SERVICES = {"o365": 5200, "crm": 760, "ems": 1900}
"""The services, and roughly how many licences of each are sold at the data set's start."""

_USAGE_LAG_DAYS = 4  # recorded usage is 4 to 6 days old, recorded deployment 0 to 4
_USAGE_SPREAD_DAYS = 1
_DEPLOYMENT_SPREAD_DAYS = 3
_SATURDAY = 5
_LATEST = datetime(9000, 1, 1, tzinfo=UTC).timestamp()  # fast time must stay within the calendar


def _steady(_days: float) -> float:
    return 1.0


def _decline(days: float) -> float:
    return (1 - math.tanh((days - 70) / 60)) / 2


def _growth(days: float) -> float:
    return 0.35 + 0.65 * (1 + math.tanh((days - 45) / 40)) / 2


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload: the share of its service's licences that include it, and the share of those in use."""

    name: str
    service: str
    reach: float
    share: float
    trend: Callable[[float], float] = _steady


WORKLOADS = (
    Workload("Exchange", "o365", 0.97, 0.86),
    Workload("SharePoint", "o365", 0.91, 0.58),
    Workload("OneDrive", "o365", 0.91, 0.64),
    Workload("Teams", "o365", 0.88, 0.90, _growth),
    Workload("Skype For Business", "o365", 0.84, 0.62, _decline),
    Workload("Yammer", "o365", 0.80, 0.12),
    Workload("Office ProPlus", "o365", 0.66, 0.77),
    Workload("Microsoft Dynamics CRM", "crm", 0.98, 0.71),
    # The same workload in two services: a row is identified by service, workload and channel together.
    Workload("SharePoint", "crm", 0.72, 0.26),
    Workload("Intune", "ems", 0.93, 0.41),
    Workload("Azure AD Premium", "ems", 0.99, 0.67),
    Workload("Azure Information Protection", "ems", 0.55, 0.19),
)


@dataclass(frozen=True, slots=True)
class UsageFigure:
    """The licences that include a workload (`qualified`) and those in use (`active`), on one day since the start."""

    workload: str
    service: str
    channel: str
    qualified: int
    active: int
    processed_at: datetime
    day: int

    @property
    def percent(self) -> float:
        """The legacy API's proratedLicensesUsagePercent, 0 to 100."""
        return self.active / self.qualified * 100 if self.qualified else 0.0


@dataclass(frozen=True, slots=True)
class DeploymentFigure:
    """The licences of a service that are sold, and those that a user has (`deployed`), on one day since the start."""

    service: str
    channel: str
    sold: int
    deployed: int
    processed_at: datetime
    day: int

    @property
    def percent(self) -> float:
        """The legacy API's proratedDeploymentPercent, 0 to 100."""
        return self.deployed / self.sold * 100 if self.sold else 0.0


def chance(*key: object) -> float:
    """Return a number in [0, 1) that depends only on the key, on every machine and in every process."""
    digest = blake2b("|".join(map(str, key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


class Dataset:
    """One partner's licence counts, as a pure function of the seed and the time.

    In the weeks after `start`, Skype For Business declines and Teams grows. The counts are those of the
    whole partner (`customers` splits them); `size` scales them all.
    """

    def __init__(self, seed: int = 1, start: date = date(2026, 1, 1), *, size: float = 1.0) -> None:
        self.seed = seed
        self._start = start.toordinal()
        self._size = size

    def usage(self, at: datetime, *, processed_on: date | None = None) -> tuple[UsageFigure, ...]:
        """Return the usage figures available at a time, one per workload and channel.

        They are the latest, or those processed on a given day; none if that day is not processed yet.
        """
        return tuple(self._usage(at, processed_on))

    def deployment(self, at: datetime, *, processed_on: date | None = None) -> tuple[DeploymentFigure, ...]:
        """Return the deployment figures available at a time, one per service and channel; see `usage`."""
        return tuple(self._deployment(at, processed_on))

    def _usage(self, at: datetime, processed_on: date | None) -> Iterator[UsageFigure]:
        for workload in WORKLOADS:
            lag = _USAGE_LAG_DAYS + _USAGE_SPREAD_DAYS * chance(self.seed, "usage", workload.service)
            processed_at = _processed_at(at, lag, processed_on)
            if processed_at is None:
                continue
            day = processed_at.toordinal()
            for channel in CHANNELS:
                qualified = round(self._sold(workload.service, channel, day) * workload.reach)
                active = min(qualified, round(qualified * self._share(workload, channel, day)))
                yield UsageFigure(
                    workload.name, workload.service, channel, qualified, active, processed_at, day - self._start
                )

    def _deployment(self, at: datetime, processed_on: date | None) -> Iterator[DeploymentFigure]:
        for service in SERVICES:
            lag = _DEPLOYMENT_SPREAD_DAYS * chance(self.seed, "deployment", service)
            processed_at = _processed_at(at, lag, processed_on)
            if processed_at is None:
                continue
            day = processed_at.toordinal()
            for channel in CHANNELS:
                sold = self._sold(service, channel, day)
                rate = 0.72 + 0.2 * chance(self.seed, "rate", service) + 0.04 * self._drift(day, service, channel)
                deployed = min(sold, round(sold * rate))
                yield DeploymentFigure(service, channel, sold, deployed, processed_at, day - self._start)

    def _sold(self, service: str, channel: str, day: int) -> int:
        size = self._size * SERVICES[service] * CHANNELS[channel] * (0.8 + 0.4 * chance(self.seed, "size", service))
        growth = 1 + 0.15 * math.tanh((day - self._start) / 365)
        return max(1, round(size * growth * (1 + 0.02 * self._drift(day, "sold", service, channel))))

    def _share(self, workload: Workload, channel: str, day: int) -> float:
        key = (workload.name, workload.service, channel)
        weekend = 0.95 if (day + 6) % 7 >= _SATURDAY else 1.0  # ordinal 1 was a Monday
        noise = 1 + 0.025 * self._drift(day, *key) + 0.005 * (2 * chance(self.seed, "day", *key, day) - 1)
        return workload.share * workload.trend(day - self._start) * weekend * noise

    def _drift(self, day: int, *key: object) -> float:
        """Return smooth noise in [-1, 1], which changes direction every two weeks."""
        knot, rest = divmod(day, 14)
        progress = rest / 14
        ease = progress * progress * (3 - 2 * progress)
        last, following = (chance(self.seed, "drift", *key, k) for k in (knot, knot + 1))
        return 2 * (last + (following - last) * ease) - 1


class SimulatedTime:
    """The data's clock: equal to the wall clock at construction, then `speed` times as fast.

    Raises ValueError unless `speed` is finite and at least 0.
    """

    def __init__(self, speed: float, now: Callable[[], float]) -> None:
        if not (math.isfinite(speed) and speed >= 0):
            raise ValueError(f"speed must be a finite number of at least 0, not {speed}")
        self._speed = speed
        self._now = now
        self.start = now()

    def data_now(self) -> datetime:
        """Return the data's current time."""
        reached = self.start + max(0.0, self._now() - self.start) * self._speed
        return _moment(min(reached, _LATEST))

    def on_wall(self, moment: datetime) -> datetime:
        """Convert the data's time to wall-clock time: order is kept, and the result is never in the future.

        A time before the start is unchanged; the time since the start is compressed.
        """
        stamp = moment.timestamp()
        if stamp > self.start and self._speed > 0:
            stamp = self.start + (stamp - self.start) / self._speed
        return min(_moment(stamp), _moment(self._now()))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _processed_at(at: datetime, lag_days: float, processed_on: date | None) -> datetime | None:
    """Return when the latest figures, or those of a day, were processed; None if that day is not yet."""
    latest = _midnight(at) - timedelta(days=lag_days)
    if processed_on is None:
        return latest
    # The time of day is the same every day.
    that_day = latest + timedelta(days=(processed_on - latest.date()).days)
    return that_day if that_day <= latest else None


def _midnight(at: datetime) -> datetime:
    return datetime.combine(at.astimezone(UTC).date(), time(tzinfo=UTC))
