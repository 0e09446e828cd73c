"""What `check` found, as text: results on standard output as they come, warnings and progress on standard error."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from textwrap import indent

from tabulate import tabulate

from exporter.arguments import ExitStatus
from exporter.commands.all_apis import Tried, advice
from exporter.commands.configuration import as_called
from exporter.config import Config, PartnerConfig
from exporter.errors import PollError, StateError
from exporter.formatting import moment, visible
from exporter.metrics.targets import Target, Targets
from exporter.model.rows import Answer, Api, Row
from exporter.model.status import SignInStatus
from exporter.partner_center.error_responses import MFA_REMEDY
from exporter.polling.plan import PollPlan
from exporter.sources.legacy import SUCCESSOR_HINT
from exporter.streams import printed


class TextReport(nullcontext[None]):
    """Prints each result at once."""

    def __init__(self, file: Path, web_file: Path | None) -> None:
        super().__init__()
        self._file, self._web_file = file, web_file

    def configured(self, config: Config, partners: Sequence[PartnerConfig]) -> None:
        """Say that the configuration can be used, and what is doubtful about it."""
        for warning in config.warnings:
            place = f"{self._file}:{warning.line}" if warning.line else str(self._file)
            print(f"{place}: warning: {warning}", file=sys.stderr)
        names = ", ".join(partner.name for partner in partners)
        sources = sum(len(partner.sources) for partner in partners)
        summary = f"{_counted(len(partners), 'partner')} ({names}), {_counted(sources, 'source')}"
        print(f"{self._file}: configuration is valid: {summary}")
        if self._web_file:
            print(f"{self._web_file}: web configuration is valid")

    def partner(self, partner: PartnerConfig) -> None:
        """Begin with a partner."""
        identity = partner.registration.identity
        print(f"\n{partner.name} (cloud {identity.cloud}, tenant {identity.tenant_id})")

    def signed_in(self, status: SignInStatus) -> None:
        """Say as whom, and until when."""
        account = f" as {status.account}" if status.account else ""
        expiry = f", refresh token expires {moment(status.token_expires_at)}" if status.token_expires_at else ""
        print(f"  sign-in: OK{account}{expiry}")
        if status.credential_expires_at:
            print(f"  client credential: expires {moment(status.credential_expires_at)}")

    def mfa(self, status: SignInStatus) -> None:
        """Say whether Partner Center takes the sign-in for one with MFA, where it has said so."""
        if status.mfa_compliant is not None:
            missing = f"MISSING\n    Fix: {MFA_REMEDY.format(partner=status.partner)}."
            text = f"  MFA: {'OK' if status.mfa_compliant else missing}"
            print(as_called(text, self._file))

    def tried(self, plan: PollPlan, tried: Sequence[Tried], *, now: float) -> None:
        """Show which APIs answer, why the others don't, and what to configure."""
        print(f"  {plan.source}:\n{_indented(_tried_table(tried))}")
        for one in tried:
            if isinstance(one.outcome, PollError):
                text = failure(f"{one.source.api} {one.path}".rstrip(), one.outcome)
                print(as_called(indent(text, "  "), self._file))
            else:
                for note in one.outcome.notes:
                    print(f"    {one.source.api}: {note}")
        print(f"    Advice: {advice(tried, now)}.")

    def not_signed_in(self, error: PollError) -> None:
        """Say why nothing can be polled."""
        print(as_called(failure("sign-in", error), self._file))

    def not_saved(self, error: StateError) -> None:
        """Say why the renewed token could not be saved."""
        print(f"  token store: FAILED: the renewed token is not saved: {error.message}\n    Fix: {error.remedy}.")

    def polled(self, plan: PollPlan, answer: Answer, targets: Sequence[Target]) -> None:
        """Show what a source gave."""
        dates = [row.processed_at for row in answer.rows if row.processed_at is not None]
        newest = f", newest processed {moment(max(dates))}" if dates else ""
        dropped = "".join(f", {count} dropped as {reason}" for reason, count in answer.dropped.items() if count)
        print(f"  {_heading(plan)}: {answer.usable} rows{newest}{dropped}")
        for note in answer.notes:
            print(f"    Note: {note}")
        if answer.breakdown is not None:
            print(f"    with detail: {len(answer.breakdown.sums)} label sets")
        if answer.rows:
            index = Targets(targets)
            print(table(answer.rows, [index.of(plan.partner, row) for row in answer.rows]))
        else:
            print("    The API returned no rows.")
            if plan.api is Api.LEGACY:
                print(f"    Fix: {SUCCESSOR_HINT}.")

    def not_polled(self, plan: PollPlan, error: PollError) -> None:
        """Say why a source gave nothing."""
        print(as_called(failure(_heading(plan), error), self._file))

    def warn(self, text: str) -> None:
        """Print what needs a look."""
        print(f"\n{text}")

    def ended(self, status: ExitStatus) -> None:
        """Add nothing: everything was printed."""


def _heading(plan: PollPlan) -> str:
    return f"{plan.source} ({plan.api} API)"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


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
    return _indented(tabulate(lines, headers="keys", disable_numparse=True, tablefmt="simple"))


def _tried_table(tried: Sequence[Tried]) -> str:
    lines = [
        {
            "api": one.source.api,
            "path": _printable(one.path) or "-",
            "answers": "yes" if isinstance(one.outcome, Answer) else f"no: {one.outcome.reason}",
            "rows": one.rows if isinstance(one.outcome, Answer) else "-",
            "newest data": "-" if one.newest is None else moment(one.newest),
            "configured": "yes" if one.is_used else "",
        }
        for one in tried
    ]
    return tabulate(lines, headers="keys", disable_numparse=True, tablefmt="simple")


def _indented(text: str) -> str:
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
