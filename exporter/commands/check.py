"""`check`: what works, what fails, and how to fix it."""

import sys
import threading
from collections.abc import Sequence
from contextlib import closing

from tabulate import tabulate

from exporter.arguments import Check, ExitStatus
from exporter.auth.authenticator import Authenticator
from exporter.builder import Partner
from exporter.commands.partners import new_builder, offline_builder, select, warn_of_directory_of_root
from exporter.config import load, load_offline
from exporter.errors import PollError
from exporter.formatting import moment, visible
from exporter.logs import get_logger
from exporter.metrics.targets import Target, Targets, unmatched
from exporter.model.rows import Answer, Api, Row, SourceName
from exporter.partner_center.client import ApiPoll
from exporter.polling.poller import Poller
from exporter.sources.legacy import SUCCESSOR_HINT
from exporter.streams import printed

Answers = dict[tuple[str, SourceName], Answer | None]
"""What each source gave, by partner and source; None where that failed."""


def run(arguments: Check) -> ExitStatus:
    """Check everything and print the results. Raises ConfigurationError, StateError."""
    file = arguments.config_file
    config = load_offline(file) if arguments.offline else load(file)
    partners = select(config, arguments.partner, file=file)
    with closing(offline_builder(config)) as builder:  # as a start and a reload do
        for partner in config.partners:
            builder.partner(partner)
    names = ", ".join(partner.name for partner in partners)
    sources = sum(len(partner.sources) for partner in partners)
    summary = f"{len(partners)} partner{'s' * (len(partners) != 1)} ({names}), {sources} source{'s' * (sources != 1)}"
    print(f"{file}: configuration is valid: {summary}")
    if arguments.offline:
        return ExitStatus.SUCCESS
    answers: Answers = {}
    saved = True
    with closing(new_builder(config)) as builder:
        warn_of_directory_of_root(builder.directory)
        for checked in map(builder.partner, partners):
            answers |= _check(checked, config.targets)
            saved &= _is_saved(checked.authenticator)
    _print_unmatched_targets(config.targets, answers)
    return ExitStatus.SUCCESS if saved and None not in answers.values() else ExitStatus.FAILED


def _check(partner: Partner, targets: Sequence[Target]) -> Answers:
    """Sign in and poll every source once."""
    name, identity = partner.config.name, partner.config.registration.identity
    print(f"\n{name} (cloud {identity.cloud}, tenant {identity.tenant_id})")
    if not _sign_in(partner.authenticator):
        return dict.fromkeys((name, source) for source in SourceName)
    return {(name, poller.plan.source): _poll(poller, targets) for poller in partner.pollers}


def _sign_in(authenticator: Authenticator) -> bool:
    try:
        authenticator.refresh_if_due()
    except PollError as error:
        print(failure("sign-in", error))
        return False
    status = authenticator.status
    account = f" as {status.account}" if status.account else ""
    expiry = f", refresh token expires {moment(status.token_expires_at)}" if status.token_expires_at else ""
    print(f"  sign-in: OK{account}{expiry}")
    if status.credential_expires_at:
        print(f"  client credential: expires {moment(status.credential_expires_at)}")
    return True


def _is_saved(authenticator: Authenticator) -> bool:
    """Try once more to save a renewed token, and print why that fails."""
    authenticator.retry_save()
    error = authenticator.tokens.save_error
    if error:
        print(f"  token store: FAILED: the renewed token is not saved: {error.message}\n    Fix: {error.remedy}.")
    return error is None


def _poll(poller: Poller, targets: Sequence[Target]) -> Answer | None:
    plan = poller.plan
    print(f"  polling {plan.source} …", file=sys.stderr)
    poll = ApiPoll(poller.client, plan.source, stop=threading.Event(), log=get_logger())
    heading = f"{plan.source} ({plan.api} API)"
    try:
        answer = poller.fetch(poll)
    except PollError as error:
        print(failure(heading, poll.with_exchange(error)))
        return None
    dates = [row.processed_at for row in answer.rows if row.processed_at is not None]
    newest = f", newest processed {moment(max(dates))}" if dates else ""
    dropped = "".join(f", {count} dropped as {reason}" for reason, count in answer.dropped.items() if count)
    print(f"  {heading}: {answer.usable} rows{newest}{dropped}")
    if answer.breakdown is not None:
        print(f"    with detail: {len(answer.breakdown.sums)} label sets")
    if answer.rows:
        index = Targets(targets)
        print(table(answer.rows, [index.of(plan.partner, row) for row in answer.rows]))
    else:
        print("    The API returned no rows.")
        if plan.api is Api.LEGACY:
            print(f"    Fix: {SUCCESSOR_HINT}.")
    return answer


def table(rows: Sequence[Row], targets: Sequence[Target | None]) -> str:
    """Return rows as an indented table, without columns that nothing is known for; `targets` has each one's target."""
    known = [any(row.licences[side] is not None for row in rows) for side in range(len(rows[0].LICENCES))]
    has_targets = any(targets)
    lines = []
    for row, target in zip(rows, targets, strict=True):
        line = {name: _printable(value) for name, value in zip(row.LABELS, row.key, strict=True)}
        line[row.SOURCE] = "-" if row.ratio is None else f"{row.ratio:.1%}"
        line |= {
            f"licences {name}": _count(count)
            for name, count, shown in zip(row.LICENCES, row.licences, known, strict=True)
            if shown
        }
        if has_targets:
            line["target"] = f"{target.ratio:.0%}" if target else "-"
        line["processed"] = "-" if row.processed_at is None else moment(row.processed_at)
        lines.append(line)
    text = tabulate(lines, headers="keys", disable_numparse=True, tablefmt="simple")
    return "\n".join(f"    {line}" for line in text.splitlines())


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _printable(text: str) -> str:
    """Return text that can't move the cursor of a terminal, as long as it will be there."""
    return printed(visible(text), sys.stdout)


def failure(heading: str, error: PollError) -> str:
    """Return what failed, how to fix it, and what to quote to Microsoft support."""
    lines = [f"  {heading}: FAILED ({error.reason}): {error.message}"]
    if error.remedy:
        lines.append(f"    Fix: {error.remedy}.")
    ids = {"correlation ID": error.exchange.correlation_id, "request ID": error.exchange.request_id}
    if known := ", ".join(f"{name} {value}" for name, value in ids.items() if value):
        lines.append(f"    For Microsoft support: {known}")
    return "\n".join(lines)


def _print_unmatched_targets(targets: Sequence[Target], answers: Answers) -> None:
    """Name the targets that match nothing, unless a failed poll may be the reason."""
    if any(answer is None and source is SourceName.USAGE for (_, source), answer in answers.items()):
        return
    partners = {None, *(partner for partner, _ in answers)}
    checked = [target for target in targets if target.partner in partners]
    index = Targets(checked)
    used = [index.used(partner, answer.rows) for (partner, _), answer in answers.items() if answer]
    for target in unmatched(checked, frozenset().union(*used)):
        print(f"\ntarget {target} matches no series: check its spelling")
