"""What a fault is and what is promised of it, as values: the tests compare them, the page spells them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from partnercenter_simulator import Fault, InsightsQuirks, Quirks

ROWS_OF_A_GOOD_ANSWER = 24


class Data(Enum):
    """What the licence series on /metrics are after the poll."""

    STAYS = "old"
    FRESH = "fresh"
    USABLE = "fresh, as far as usable"
    NONE = "none"


class Next(Enum):
    """When the next poll comes."""

    INTERVAL = "interval"
    BACK_OFF = "back-off"
    ASKED = "Retry-After"


class Disk(Enum):
    """What the poll writes to the state directory, besides the schedule."""

    ALL = "data, token"
    DATA = "data"
    TOKEN = "token"
    NOTHING_NEW = "-"


class Recovery(Enum):
    """What brings the source back, and how soon it is polled then."""

    ITSELF = "the next poll"
    SIGN_IN = "a new sign-in, noticed at once"
    FILE = "the fixed file, noticed at once"
    CONFIGURATION = "the fixed configuration, within a minute"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is promised of the poll that a fault strikes.

    `reason` is the label on partnercenter_poll_failures_total, empty where the poll is good. `codes` are the
    labels by which partnercenter_api_requests_total moves, `reaches_api` whether those requests arrive, and
    `calls` how many different ones there are among them, repeats aside. Of `rows`, `without_ratio` have none, as their
    divisor is 0.
    `remedy` is in the log and, where the poll fails, on the page at `/`.
    """

    reason: str = ""
    data: Data = Data.STAYS
    rows: int = ROWS_OF_A_GOOD_ANSWER
    without_ratio: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    auth_up: int = 1
    auth_error: str = ""
    log: str = "poll failed"
    remedy: str = ""
    next_poll: Next = Next.BACK_OFF
    asked_seconds: float = 0.0
    codes: Mapping[str, int] = field(default_factory=dict)
    reaches_api: bool = True
    calls: int = 1
    token_requests: int = 1
    retries: int = 0
    state_writable: int = 1
    disk: Disk = Disk.TOKEN
    recovery: Recovery = Recovery.ITSELF


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault of the matrix: its name in tests, its words for an operator, how it comes, what follows.

    It strikes the source `usage` after a good poll. `plan` is the simulator's, `setting` names a function of
    `settings.py`, `top` are keys of config.yaml. `quirks` are those of the commercial API, `insights` those of Partner
    Insights: whichever has some is asked then. `restarted` lets it strike while the exporter is down, for
    `down_seconds`; `impatient` sets a short poll.timeout; `token_seconds` is how long access tokens live. It strikes a
    poll of usage; with `every_source`, the deployment's too, which else isn't due.
    """

    name: str
    description: str
    outcome: Outcome
    plan: tuple[Fault, ...] = ()
    setting: str = "planned"
    top: Mapping[str, Any] = field(default_factory=dict)
    quirks: Quirks | None = None
    insights: InsightsQuirks | None = None
    restarted: bool = False
    down_seconds: float = 3_700.0
    every_source: bool = False
    impatient: bool = False
    token_seconds: int = 3_900


@dataclass(frozen=True, slots=True)
class Section:
    """Rows that belong together on the page, and what is to be said of all of them."""

    title: str
    description: str
    rows: tuple[Row, ...]
