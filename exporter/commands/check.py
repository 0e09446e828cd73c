"""`check`: the configuration, the sign-in and one real poll of everything, explained."""

import argparse
import random
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from exporter.builder import Builder, Partner
from exporter.cli import DONE, FAILED, revision
from exporter.clock import SystemClock
from exporter.config import Config, PartnerConfig, load
from exporter.errors import ConfigurationError, PollError, Problem
from exporter.files import StateDirectory
from exporter.formatting import moment
from exporter.logs import Logger, get_logger
from exporter.metrics.own import OwnMetrics
from exporter.metrics.targets import Target, target_of, unmatched
from exporter.model import Answer, DeploymentRow, Row, UsageRow
from exporter.polling.poller import Source
from exporter.sources.legacy import SUCCESSOR_HINT


def main(arguments: argparse.Namespace) -> int:
    """Check everything and print what came of it."""
    file = Path(arguments.config_file)
    config = load(file)
    partners = [select(config, arguments.partner, file)] if arguments.partner else list(config.partners)
    print(f"{file}: the configuration is good: {_summary(partners)}")
    if arguments.offline:
        return DONE
    directory = StateDirectory(config.state_dir)
    directory.check()
    log = get_logger()
    builder = Builder(
        config,
        directory,
        own=OwnMetrics(revision=revision()),
        clock=SystemClock(),
        rng=random.Random(),  # noqa: S311  it spreads retries, it guards nothing
        log=log,
    )
    inspections = [_Inspection(builder.partner(partner), config.targets, log) for partner in partners]
    good = [inspection.run() for inspection in inspections]
    _print_idle_targets(config.targets, inspections)
    return DONE if all(good) else FAILED


def select(config: Config, name: str | None, file: Path) -> PartnerConfig:
    """Return the partner of this name, or the only one; raises ConfigurationError."""
    if name is None and len(config.partners) == 1:
        return config.partners[0]
    for partner in config.partners:
        if name is not None and partner.name.lower() == name.lower():
            return partner
    known = ", ".join(partner.name for partner in config.partners)
    words = "say which partner" if name is None else f"there is no partner {name!r}"
    raise ConfigurationError(str(file), (Problem(0, "--partner", f"{words}: known are {known}"),))


def _summary(partners: Sequence[PartnerConfig]) -> str:
    sources = sum(len(partner.sources) for partner in partners)
    names = ", ".join(partner.name for partner in partners)
    return f"{len(partners)} partner{'s' * (len(partners) != 1)} ({names}), {sources} sources"


class _Inspection:
    """One partner's check."""

    def __init__(self, partner: Partner, targets: tuple[Target, ...], log: Logger) -> None:
        self._partner = partner
        self._targets = targets
        self._log = log
        self.rows: list[tuple[str, Row]] = []
        self.complete = True

    def run(self) -> bool:
        """Sign in and poll every source; return whether all of it worked."""
        config = self._partner.config
        identity = config.registration.identity
        print(f"\n{config.name} (cloud {identity.cloud}, tenant {identity.tenant_id})")
        if not self._sign_in():
            self.complete = False
            return False
        outcomes = [self._poll(source) for source in self._partner.sources]
        return all(outcomes)

    def _sign_in(self) -> bool:
        authenticator = self._partner.authenticator
        try:
            authenticator.refresh_if_due()
        except PollError as error:
            _print_failure("sign-in", error)
            return False
        status = authenticator.status
        account = f" as {status.account}" if status.account else ""
        expiry = (
            f", refresh token good until {moment(status.token_expires_at)}" if status.token_expires_at else ""
        )
        print(f"  sign-in: good{account}{expiry}")
        if status.credential_expires_at:
            print(f"  client credential: ends {moment(status.credential_expires_at)}")
        if authenticator.unsaved:
            print("  token store: the renewed token could not be saved, see the log line above")
        return True

    def _poll(self, source: Source) -> bool:
        print(f"  polling {source.name} …", file=sys.stderr)
        poll = self._partner.client.open_poll(source.name, stop=threading.Event(), log=self._log)
        try:
            answer = source.fetch(poll)
        except PollError as error:
            self.complete = self.complete and source.name != "usage"
            _print_failure(f"{source.name} ({source.api} API)", poll.with_exchange(error))
            return False
        self._print_answer(source, answer)
        return True

    def _print_answer(self, source: Source, answer: Answer) -> None:
        dates = [row.processed_at for row in answer.rows if row.processed_at is not None]
        newest = f", newest processed {moment(max(dates))}" if dates else ""
        dropped = "".join(
            f", {count} dropped as {reason}" for reason, count in answer.dropped.items() if count
        )
        print(f"  {source.name} ({source.api} API): {answer.usable} rows{newest}{dropped}")
        if answer.breakdown is not None:
            print(f"    with detail: {len(answer.breakdown.sums)} label sets")
        if not answer.rows:
            print("    The API answered, but with no rows.")
            if source.api == "legacy":
                print(f"    What to do: {SUCCESSOR_HINT}.")
            return
        name = self._partner.config.name
        self.rows += [(name, row) for row in answer.rows]
        counted = source.api == "commercial"
        table = [self._table_row(name, row, counted=counted) for row in answer.rows]
        rendered = tabulate(table, headers="keys", disable_numparse=True, tablefmt="simple")
        print("\n".join(f"    {line}" for line in rendered.splitlines()))

    def _table_row(self, partner: str, row: UsageRow | DeploymentRow, *, counted: bool) -> dict[str, str]:
        processed = {"processed": moment(row.processed_at) if row.processed_at is not None else "-"}
        ratio = "-" if row.ratio is None else f"{row.ratio:.1%}"
        if isinstance(row, DeploymentRow):
            labels = {"service": row.service, "channel": row.channel}
            counts = {"sold": _count(row.sold)}
            if counted:
                counts = {"licences deployed": _count(row.deployed), **counts}
            return {**_printable(labels), "deployed": ratio, **counts, **processed}
        target = target_of(self._targets, partner, row)
        labels = {"workload": row.workload, "service": row.service, "channel": row.channel}
        aim = {"target": f"{target.ratio:.0%}" if target else "-"}
        counts = {"active": _count(row.active), "qualified": _count(row.qualified)} if counted else {}
        return {**_printable(labels), "usage": ratio, **counts, **aim, **processed}


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _printable(labels: dict[str, str]) -> dict[str, str]:
    """Return label values that can't move the cursor of a terminal."""
    return {
        name: "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value)
        for name, value in labels.items()
    }


def _print_failure(what: str, error: PollError) -> None:
    print(f"  {what}: FAILED ({error.reason}): {error.message}")
    if error.remedy:
        print(f"    What to do: {error.remedy}.")
    ids = {"correlation id": error.exchange.correlation_id, "request id": error.exchange.request_id}
    quoted = ", ".join(f"{name} {value}" for name, value in ids.items() if value)
    if quoted:
        print(f"    For Microsoft's support: {quoted}")


def _print_idle_targets(targets: Sequence[Target], inspections: Sequence[_Inspection]) -> None:
    """Name the targets that match nothing, unless a failed poll may be the reason."""
    if not all(inspection.complete for inspection in inspections):
        return
    checked = {inspection._partner.config.name for inspection in inspections}  # noqa: SLF001  same module
    relevant = [target for target in targets if target.partner is None or target.partner in checked]
    for target in unmatched(relevant, [labels for each in inspections for labels in each.rows]):
        print(f"\ntarget {target} matches no series: look at its spelling")
