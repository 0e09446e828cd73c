"""`check --all-apis`: which APIs answer for the sources of this tenant, and which one to configure."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from exporter.config import AnySource, Sources
from exporter.errors import PollError
from exporter.logs import get_logger
from exporter.model.rows import Answer, Api, SourceName
from exporter.partner_center.client import ApiPoll, PartnerCenterClient
from exporter.sources.commercial import Commercial
from exporter.sources.legacy import Legacy

# Each published page has two paths: this one is in its example.
_OTHER_PATHS = {
    SourceName.USAGE: "/partner/v1/analytics/commercial/usage/license",
    SourceName.DEPLOYMENT: "/partner/v1/analytics/commercial/deployment/license",
}
# The API that gives most comes first; the legacy one gives no counts.
_PREFERENCE = (Api.COMMERCIAL, Api.INSIGHTS, Api.LEGACY)


@dataclass(frozen=True, slots=True)
class Tried:
    """What one API gave for one source, or why it gave nothing; `is_used` if the configuration has it."""

    source: AnySource
    outcome: Answer | PollError
    is_used: bool

    @property
    def path(self) -> str:
        """The path, where an API has several."""
        return _path(self.source)

    @property
    def rows(self) -> int:
        """How many usable rows it gave."""
        return self.outcome.usable if isinstance(self.outcome, Answer) else 0

    @property
    def newest(self) -> float | None:
        """When its newest data was processed, in Unix seconds."""
        rows = self.outcome.rows if isinstance(self.outcome, Answer) else ()
        return max((row.processed_at for row in rows if row.processed_at is not None), default=None)

    def is_fresh(self, now: float) -> bool:
        """Return whether it gave rows, and not only old ones."""
        return bool(self.rows) and (self.newest is None or now - self.newest <= self.source.api.stale_after_seconds)

    @property
    def setting(self) -> str:
        """What to write in the configuration for it."""
        other = self.source.path if isinstance(self.source, Commercial) else ""
        return f"api: {self.source.api}, path: {other}" if other else f"api: {self.source.api}"


def candidates(used: AnySource) -> list[AnySource]:
    """Return what can be asked for the data of a source; the configured one is as it is, but for its detail."""
    name = used.endpoint.row.SOURCE
    known: list[AnySource] = []
    for api in Api:
        source = Sources().keys_of(name).model_copy(update={"api": api}).source(used.max_series)
        known.append(source)
        if isinstance(source, Commercial):
            known.append(replace(source, path=_OTHER_PATHS[name]))
    plain = used if isinstance(used, Legacy) else replace(used, detail=())
    others = [source for source in known if (source.api, _path(source)) != (used.api, _path(used))]
    return sorted([plain, *others], key=lambda source: list(Api).index(source.api))


def try_one(client: PartnerCenterClient, source: AnySource, used: AnySource) -> Tried:
    """Ask one API once; nothing is created upstream."""
    name = source.endpoint.row.SOURCE
    log = get_logger(partner=client.partner, source=name, api=source.api)
    poll = ApiPoll(client, name, stop=threading.Event(), log=log)
    is_used = (source.api, _path(source)) == (used.api, _path(used))
    try:
        return Tried(source, source.fetch(poll), is_used)
    except PollError as error:
        return Tried(source, poll.with_exchange(error), is_used)


def advice(tried: Sequence[Tried], now: float) -> str:
    """Return one line: keep what is configured, or which API to configure instead, or what to look at."""
    used = next(one for one in tried if one.is_used)
    useful = [one for one in tried if one.is_fresh(now)] or [one for one in tried if one.rows]
    useful.sort(key=lambda one: (_PREFERENCE.index(one.source.api), not one.is_used))
    if not useful:
        answered = any(isinstance(one.outcome, Answer) for one in tried)
        if answered:
            return "no API has data: the account may lack a role in this tenant, or the tenant has no such licences yet"
        return "no API answers: follow the fix of the one that is configured first"
    best = useful[0]
    if used not in useful:
        return f"set `{best.setting}`: what is configured gives no current data"
    if used.source.api is Api.LEGACY and best is not used:
        return f"keep `{used.setting}`, or set `{best.setting}`, which gives licence counts too"
    return f"keep `{used.setting}`"


def _path(source: AnySource) -> str:
    return (source.path or source.endpoint.path) if isinstance(source, Commercial) else ""
