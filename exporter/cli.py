"""The command line: reads the arguments, runs the command, and turns errors into an exit status."""

import argparse
import inspect
import platform
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, assert_never, get_args

from exporter import __version__, branch, revision, streams
from exporter import arguments as args
from exporter.arguments import Arguments, ExitStatus, Logging
from exporter.errors import ConfigurationError, ExporterError
from exporter.flags import add_flags, read_flags
from exporter.local_text import local_text
from exporter.messages import class_name, line
from exporter.wrong_usage import explain

# As Prometheus parses flags: long names only, never abbreviated.
_STYLE: dict[str, Any] = {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line: the usage, which argparse prints before it, is as long as the help."""

    def error(self, message: str) -> NoReturn:
        raise _WrongUsageError(message)


class _WrongUsageError(Exception):
    """A word of the command line that can't be used."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status, which says what the command did.

    Whether its output could be written makes no difference: a health check must not fail of a full disk.
    """
    streams.guard()
    try:
        return _main(argv)
    finally:
        streams.end()


def _main(argv: Sequence[str] | None) -> int:
    try:
        log, arguments = parse(argv)
    except ConfigurationError as error:
        return _report(error)
    from exporter import logs

    logs.configure(level=log.level, log_format=log.format)
    until_stopped = isinstance(arguments, args.Run | args.Demo | args.Simulate)
    try:
        _check_system()
        if until_stopped:
            streams.wait_for_nobody()
        return _run(arguments)
    except ExporterError as error:
        return _report(error)
    except KeyboardInterrupt:
        # Ctrl+C is the normal way to stop these; it interrupts the others.
        return ExitStatus.SUCCESS if until_stopped else ExitStatus.FAILED
    except Exception as error:  # noqa: BLE001  users get one line, never a traceback
        logs.get_logger().error("internal error", error=class_name(error), where=logs.place_of(error))
        return ExitStatus.FAILED


def _check_system() -> None:
    """Raise ExporterError on Windows, whose missing modules would else be a traceback halfway."""
    try:
        import fcntl  # noqa: F401  what the state directory needs
    except ImportError as error:
        remedy = line("run it on Linux; on Windows, in WSL or in a container")
        raise ExporterError(line("this operating system is not supported"), remedy=remedy) from error


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
    words = sys.argv[1:] if argv is None else argv
    try:
        given = vars(_parser().parse_args(words))
    except _WrongUsageError as error:
        message = local_text(explain(words, _commands(), default=args.Run) or str(error))
        print(f"partnercenter-exporter: error: {message}", file=sys.stderr)
        raise SystemExit(ExitStatus.USAGE_ERROR) from error
    arguments: Arguments = read_flags(given["command"], given)
    if isinstance(arguments, args.Run) and arguments.check_only:
        arguments = args.Check(
            config_file=arguments.config_file, web_config_file=arguments.web_config_file, offline=True
        )
    return read_flags(Logging, given), arguments


def _run(arguments: Arguments) -> ExitStatus:  # noqa: PLR0911  one a command
    """Run a command; each imports only what it needs, as everything takes half a second."""
    match arguments:
        case args.Run():
            from exporter.commands import run

            return run.run(arguments)
        case args.Check():
            from exporter.commands import check

            return check.run(arguments)
        case args.Login():
            from exporter.commands import login

            return login.run(arguments)
        case args.Demo():
            from exporter.commands import demo

            return demo.run(arguments)
        case args.Simulate():
            from exporter.commands import simulate

            return simulate.run(arguments)
        case args.Healthcheck():
            from exporter.commands import healthcheck

            return healthcheck.run(arguments)
        case args.Backfill():
            from exporter.commands import backfill

            return backfill.run(arguments)
        case args.Completion():
            from exporter.commands import completion

            return completion.run(arguments, _commands(), default=args.Run)
        case _:
            assert_never(arguments)


def _commands() -> dict[str, type[Arguments]]:
    return {kind.__name__.lower(): kind for kind in get_args(Arguments)}


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="partnercenter-exporter",
        description="Prometheus exporter for licence usage in Microsoft Partner Center.",
        epilog="To see it work, without any configuration: partnercenter-exporter demo",
        **_STYLE,
    )
    _add(parser, args.Run)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, kind in _commands().items():
        text = inspect.getdoc(kind) or ""
        _add(commands.add_parser(name, help=text.partition("\n")[0], description=text, **_STYLE), kind)
    return parser


def _add(parser: argparse.ArgumentParser, kind: type[Arguments]) -> None:
    version = (
        f"partnercenter-exporter, version {__version__} (revision: {revision()})\n"
        f"  branch: {branch()}\n  python version: {platform.python_version()}\n"
        f"  platform: {sys.platform}/{platform.machine()}"
    )
    parser.set_defaults(command=kind)
    for flags in (kind, Logging):
        add_flags(parser, flags)
    parser.add_argument("--version", action="version", version=version, help="Print the version and exit.")
