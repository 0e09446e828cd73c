"""`reports`: what the exporter has created at Partner Insights for counts by customer, and its removal."""

import threading
from collections.abc import Iterator
from contextlib import closing

import msgspec

from exporter.arguments import ExitStatus, Reports
from exporter.builder import Builder, Partner
from exporter.commands.check_text import failure
from exporter.commands.configuration import as_called
from exporter.commands.partners import new_builder, select
from exporter.config import load
from exporter.errors import PollError
from exporter.logs import get_logger
from exporter.model.rows import SourceName
from exporter.partner_center import scheduled
from exporter.partner_center.client import ApiPoll
from exporter.polling.report_memory import StoredReports
from exporter.saved_state import SavedState
from exporter.sources.insights import Insights
from exporter.sources.reports import KnownReport


def run(arguments: Reports) -> ExitStatus:
    """List what was created, or delete it; nothing else is ever deleted. Raises ExporterError."""
    config = load(arguments.config_file)
    is_complete = True
    with closing(new_builder(config)) as builder:
        for partner in map(builder.partner, select(config, arguments.partner, file=arguments.config_file)):
            print(partner.config.name)
            known = list(_known(partner, builder))
            if not known:
                print("  nothing was created at Partner Insights, as far as the state directory knows")
            for memory, data_set, report in known:
                _print(memory.source, data_set, report)
                if arguments.delete:
                    try:
                        _delete(partner, memory, data_set, report)
                    except PollError as error:
                        is_complete = False
                        print(as_called(failure("delete", error), arguments.config_file))
            if arguments.delete and known:
                _warn_of_reports(partner)
    return ExitStatus.SUCCESS if is_complete else ExitStatus.FAILED


def _known(partner: Partner, builder: Builder) -> Iterator[tuple[StoredReports, str, KnownReport]]:
    """Yield what is remembered of every source, also of one that has no reports any more."""
    state = SavedState(builder.directory, get_logger(partner=partner.config.name))
    for source in SourceName:
        memory = StoredReports(state, partner.config.name, source, partner.config.registration.identity)
        for data_set, report in memory.all().items():
            if report.queries or report.reports:
                yield memory, data_set, report


def _print(source: SourceName, data_set: str, report: KnownReport) -> None:
    print(f"  {source}, {data_set}: {report.name}")
    for kind, ids in (("report", report.reports), ("query", report.queries)):
        for identifier in ids:
            print(f"    {kind} {identifier}")


def _delete(partner: Partner, memory: StoredReports, data_set: str, known: KnownReport) -> None:
    """Delete reports, then the queries that they use, and forget each that is gone; raises PollError."""
    poll = ApiPoll(partner.client, memory.source, stop=threading.Event(), log=get_logger(partner=partner.config.name))
    try:
        poll.sign_in()
        for identifier in known.reports:
            _say(identifier, was_there=scheduled.delete_report(poll, identifier))
            known = msgspec.structs.replace(known, reports=tuple(each for each in known.reports if each != identifier))
            memory.save(data_set, known)
        for identifier in known.queries:
            _say(identifier, was_there=scheduled.delete_query(poll, identifier))
            known = msgspec.structs.replace(known, queries=tuple(each for each in known.queries if each != identifier))
            memory.save(data_set, known)
    except PollError as error:
        raise poll.with_exchange(error) from error
    memory.save(data_set, KnownReport(name=known.name))


def _say(identifier: str, *, was_there: bool) -> None:
    print(f"    {identifier}: {'deleted' if was_there else 'was gone already'}")


def _warn_of_reports(partner: Partner) -> None:
    for each in partner.config.sources:
        if isinstance(each.source, Insights) and each.source.detail:
            name = each.source.endpoint.row.SOURCE
            print(f"  {name} still has `reports: true`: the next poll creates them again unless you remove it")
