"""The command line: reads the arguments, runs the command, and turns errors into an exit status."""

import argparse
import inspect
import os
import platform
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, get_args

from exporter import __version__, revision
from exporter.arguments import Arguments, Demo, ExitStatus, Logging, Run, Simulate
from exporter.errors import ConfigurationError, ExporterError
from exporter.flags import add_flags, read_flags

# As Prometheus parses flags: long names only, never abbreviated.
_STYLE: dict[str, Any] = {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    try:
        log, arguments = parse(argv)
    except ConfigurationError as error:
        return _report(error)
    from exporter import logs

    logs.configure(level=log.level, log_format=log.format)
    try:
        # Only what this command needs, as everything takes half a second.
        status: ExitStatus = import_module(f"exporter.commands.{_name(type(arguments))}").run(arguments)
        sys.stdout.flush()  # here, where a closed pipe can still be told from a bug
    except ExporterError as error:
        return _report(error)
    except BrokenPipeError:
        # The reader of our output went away (`check | head`); what it read was right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.FAILED
    except KeyboardInterrupt:
        # Ctrl+C is how these end; the others it keeps from finishing.
        until_stopped = isinstance(arguments, Run | Demo | Simulate)
        return ExitStatus.SUCCESS if until_stopped else ExitStatus.FAILED
    except Exception as error:  # noqa: BLE001  users get one line, never a traceback
        logs.get_logger().error("internal error", error=repr(error), where=logs.place_of(error))
        return ExitStatus.FAILED
    return status


def _report(error: ExporterError) -> ExitStatus:
    if isinstance(error, ConfigurationError):
        print(error, file=sys.stderr)
        return ExitStatus.USAGE_ERROR
    print(f"partnercenter-exporter: {error.message}", file=sys.stderr)
    if error.remedy:
        print(f"  fix: {error.remedy}", file=sys.stderr)
    return ExitStatus.FAILED


def parse(argv: Sequence[str] | None = None) -> tuple[Logging, Arguments]:
    """Return what the flags say. Raises ConfigurationError, and SystemExit as argparse does."""
    given = vars(_parser().parse_args(argv))
    arguments: Arguments = read_flags(given["command"], given)
    return read_flags(Logging, given), arguments


def _name(kind: type[Arguments]) -> str:
    """Return a command as it is typed, which is also the name of its module."""
    return kind.__name__.lower()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="partnercenter-exporter",
        description="Prometheus exporter for licence usage in Microsoft Partner Center.",
        epilog="To see it work, without any configuration: partnercenter-exporter demo",
        **_STYLE,
    )
    _add(parser, Run)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for kind in get_args(Arguments):
        text = inspect.getdoc(kind) or ""
        _add(commands.add_parser(_name(kind), help=text.partition("\n")[0], description=text, **_STYLE), kind)
    return parser


def _add(parser: argparse.ArgumentParser, kind: type[Arguments]) -> None:
    version = (
        f"partnercenter-exporter, version {__version__} (revision: {revision()})\n"
        f"  python version: {platform.python_version()}\n  platform: {sys.platform}/{platform.machine()}"
    )
    parser.set_defaults(command=kind)
    for flags in (kind, Logging):
        add_flags(parser, flags)
    parser.add_argument("--version", action="version", version=version, help="Print the version and exit.")
