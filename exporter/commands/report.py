"""`report`: the customers' licences from Prometheus, as a page to mail or a table to work with."""

import stat
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from exporter.arguments import ExitStatus, Report
from exporter.clock import Clock
from exporter.errors import ExporterError
from exporter.files import write_atomically
from exporter.messages import line
from exporter.private_files import PRIVATE_FILE
from exporter.report import figures
from exporter.report.http_config import HttpConfig, load_http_config
from exporter.report.page import html
from exporter.report.prometheus import Prometheus
from exporter.report.tables import csv_text, markdown
from exporter.upstream.transport import HttpTransport

_FORMATS: dict[str, Callable[[figures.Report], str]] = {"html": html, "csv": csv_text, "markdown": markdown}


def run(arguments: Report) -> ExitStatus:
    """Print or write the report. Raises ExporterError."""
    http = load_http_config(arguments.http_config_file) if arguments.http_config_file else HttpConfig()
    transport = HttpTransport.trusting(
        http.trust(), clock=Clock(), timeout_seconds=arguments.timeout_seconds, proxy_url=http.proxy_url
    )
    with closing(transport):
        prometheus = Prometheus(
            transport, arguments.prometheus, headers=http.headers, redactor=transport.redactor(*http.secrets)
        )
        options = figures.Options(
            partner=arguments.partner, top=arguments.top, compare_seconds=arguments.compare_seconds
        )
        report = figures.collect(prometheus, options)
    for warning in prometheus.warnings:
        print(f"Prometheus warns: {warning}", file=sys.stderr)
    text = _FORMATS[arguments.report_format](report)
    if arguments.output is not None:
        _write(arguments.output, text)
        return ExitStatus.SUCCESS
    if arguments.report_format == "html":  # it says that it is UTF-8, which a terminal need not be
        encoding = sys.stdout.encoding or "utf-8"
        text = text.encode(encoding, "xmlcharrefreplace").decode(encoding)
    print(text, end="")
    return ExitStatus.SUCCESS


def _write(file: Path, text: str) -> None:
    """Write the file as a whole, with the mode that it has, or for this user alone: it names customers."""
    try:
        mode = PRIVATE_FILE
        if file.is_symlink() or file.exists():
            status = file.lstat()
            if not stat.S_ISREG(status.st_mode):
                remedy = line("give another file, or leave --output out and redirect standard output")
                raise ExporterError(line("{} is not a regular file", file), remedy=remedy)
            mode = stat.S_IMODE(status.st_mode)
        write_atomically(file, [text.encode()], mode=mode)
    except OSError as error:
        remedy = line("choose a file that this user can write with --output")
        raise ExporterError(line("can't write {}: {}", file, error), remedy=remedy) from error
