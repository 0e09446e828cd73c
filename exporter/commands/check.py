"""`check`: what works, what fails, and how to fix it."""

import sys
import threading
from collections.abc import Sequence
from contextlib import closing

from exporter.arguments import Check, ExitStatus
from exporter.auth.authenticator import Authenticator
from exporter.builder import Partner
from exporter.commands.all_apis import Tried, candidates, try_one
from exporter.commands.check_json import JsonReport
from exporter.commands.check_text import TextReport
from exporter.commands.configuration import read_both
from exporter.commands.partners import new_builder, offline_builder, select, warn_of_directory_of_root
from exporter.config import AnySource, Config, load_offline, load_to_check
from exporter.errors import PollError
from exporter.logs import get_logger
from exporter.metrics.breakdown import render_breakdown, series_of_customers
from exporter.metrics.targets import Target, Targets, unmatched
from exporter.model.rows import Answer, SourceName
from exporter.partner_center.client import ApiPoll
from exporter.polling.poller import Poller
from exporter.web.toolkit.config_file import load_web

Answers = dict[tuple[str, SourceName], Answer | None]
"""What each source gave, by partner and source; None where that failed."""
Report = TextReport | JsonReport


def run(arguments: Check) -> ExitStatus:
    """Check everything and print the results. Raises ConfigurationError, StateError."""
    kind = JsonReport if arguments.json else TextReport
    report = kind(arguments.config_file, arguments.web_config_file)
    with report:
        status = _run(arguments, report)
        report.ended(status)
    return status


def _run(arguments: Check, report: Report) -> ExitStatus:
    config = _read(arguments)
    partners = select(config, arguments.partner, file=arguments.config_file)
    with closing(offline_builder(config)) as builder:  # as a start and a reload do
        for partner in config.partners:
            builder.partner(partner)
    report.configured(config, partners)
    if arguments.offline:
        return ExitStatus.SUCCESS
    answers: Answers = {}
    saved = True
    with closing(new_builder(config)) as builder:
        warn_of_directory_of_root(builder.directory)
        for checked in map(builder.partner, partners):
            if arguments.all_apis:
                answers |= _try_all(checked, report)
            else:
                answers |= _check(checked, config.targets, report)
            saved &= _is_saved(checked.authenticator, report)
        if wrong := builder.server_clock.problem:
            report.warn(wrong)
    for target in () if arguments.all_apis else _unmatched_targets(config.targets, answers):
        report.warn(f"target {target} matches no series: check its spelling")
    return ExitStatus.SUCCESS if saved and None not in answers.values() else ExitStatus.FAILED


def _read(arguments: Check) -> Config:
    """Return the configuration; raises ConfigurationError, with the mistakes of --web.config.file too."""
    file, web_file = arguments.config_file, arguments.web_config_file
    config, _ = read_both(
        lambda: load_offline(file) if arguments.offline else load_to_check(file),
        lambda: load_web(web_file) if web_file else None,
    )
    return config


def _check(partner: Partner, targets: Sequence[Target], report: Report) -> Answers:
    """Sign in and poll every source once."""
    if not _signs_in(partner, report):
        return _nothing(partner)
    answers: Answers = {}
    for config, poller in zip(partner.config.sources, partner.pollers, strict=True):
        answers[partner.config.name, poller.plan.source] = _poll(config.source, poller, targets, report)
    report.mfa(partner.authenticator.status)
    return answers


def _try_all(partner: Partner, report: Report) -> Answers:
    """Sign in and ask every API once for the data of every source."""
    if not _signs_in(partner, report):
        return _nothing(partner)
    answers: Answers = {}
    for source, poller in zip((each.source for each in partner.config.sources), partner.pollers, strict=True):
        tried: list[Tried] = []
        for candidate in candidates(source):
            print(f"  {poller.plan.source}: asking the {candidate.api} API …", file=sys.stderr)
            tried.append(try_one(partner.client, candidate, source))
        report.tried(poller.plan, tried, now=poller.clock.time())
        outcome = next(one.outcome for one in tried if one.is_used)
        answers[partner.config.name, poller.plan.source] = outcome if isinstance(outcome, Answer) else None
    report.mfa(partner.authenticator.status)
    return answers


def _signs_in(partner: Partner, report: Report) -> bool:
    report.partner(partner.config)
    try:
        partner.authenticator.refresh_if_due()
    except PollError as error:
        report.not_signed_in(error)
        return False
    report.signed_in(partner.authenticator.status)
    return True


def _nothing(partner: Partner) -> Answers:
    return {(str(partner.config.name), poller.plan.source): None for poller in partner.pollers}


def _is_saved(authenticator: Authenticator, report: Report) -> bool:
    """Try once more to save a renewed token, and report why that fails."""
    authenticator.retry_save()
    error = authenticator.tokens.save_error
    if error:
        report.not_saved(error)
    return error is None


def _poll(source: AnySource, poller: Poller, targets: Sequence[Target], report: Report) -> Answer | None:
    """Poll once, with the source as configured: unlike the poller's, it creates nothing upstream."""
    plan = poller.plan
    print(f"  polling {plan.source} …", file=sys.stderr)
    poll = ApiPoll(poller.client, plan.source, stop=threading.Event(), log=get_logger())
    try:
        answer = source.fetch(poll)
    except PollError as error:
        report.not_polled(plan, poll.with_exchange(error))
        return None
    report.polled(plan, answer, targets)
    return answer


def _unmatched_targets(targets: Sequence[Target], answers: Answers) -> Sequence[Target]:
    """Return the targets that match nothing, unless a failed poll may be the reason."""
    if any(answer is None and source is SourceName.USAGE for (_, source), answer in answers.items()):
        return ()
    partners = {None, *(partner for partner, _ in answers)}
    checked = [target for target in targets if target.partner in partners]
    index = Targets(checked)
    used = []
    for (partner, source), answer in answers.items():
        if answer:
            breakdown = render_breakdown(partner, source, answer.breakdown) if index.customers else None
            used.append(index.used(partner, answer.rows, series_of_customers(breakdown, index.customers)))
    return unmatched(checked, frozenset().union(*used))
