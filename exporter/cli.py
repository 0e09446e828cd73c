"""The command line: reads the arguments, runs the command, and turns errors into an exit status."""

import argparse
import inspect
import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, assert_never, get_args

from exporter import PROGRAM, __version__, signals, streams
from exporter import arguments as args
from exporter.arguments import Arguments, ExitStatus, Logging
from exporter.build_info import branch, revision
from exporter.errors import NOTHING, ConfigurationError, ExporterError
from exporter.flags import add_flags, read_flags
from exporter.local_text import local_text
from exporter.messages import Line, class_name, joined, line
from exporter.wrong_usage import explain

# As Prometheus parses flags: long names only, never abbreviated.
_STYLE: dict[str, Any] = {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter}
_COMMANDS: dict[str, Any] = {"title": "commands", "metavar": "COMMAND"}


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
    signals.hold()
    streams.guard()
    try:
        return _main(argv)
    finally:
        streams.end()


def _main(argv: Sequence[str] | None) -> int:
    try:
        log, arguments = parse(argv)
    except (ConfigurationError, SystemExit) as error:
        signals.release()
        if isinstance(error, SystemExit):
            raise
        return _report(error)
    from exporter import logs

    logs.configure(level=log.level, log_format=log.format)
    until_stopped = isinstance(arguments, args.Run | args.Demo | args.Simulate)
    if not until_stopped and not isinstance(arguments, args.Backfill):
        signals.release()
    try:
        _check_system()
    except ExporterError as error:
        return _report(error)
    try:
        if until_stopped:
            streams.wait_for_nobody()
        return _run_noticing(arguments)
    except ExporterError as error:
        fix = _own_remedy(error, sys.argv[1:] if argv is None else argv)
        return _report(error, fix=fix, file=getattr(arguments, "config_file", None))
    except KeyboardInterrupt:
        # Ctrl+C is the normal way to stop these; it interrupts the others.
        return ExitStatus.SUCCESS if until_stopped else ExitStatus.FAILED
    except Exception as error:  # noqa: BLE001  users get one line, never a traceback
        logs.get_logger().error("internal error", error=class_name(error), where=logs.place_of(error))
        return ExitStatus.FAILED


def _run_noticing(arguments: Arguments) -> ExitStatus:
    """Run a command; what runs for long says of unusual signals what they mean."""
    match arguments:
        case args.Run() | args.Demo():
            advice = line("SIGHUP reloads the configuration, SIGTERM stops, SIGQUIT logs what every thread does")
        case args.Simulate() | args.Backfill():
            advice = line("SIGTERM stops, SIGQUIT logs what every thread does")
        case _:
            return _run(arguments)
    from exporter import logs

    with signals.noticed(logs.asked_logger(), advice):
        return _run(arguments)


def _check_system() -> None:
    """Raise ExporterError on Windows, whose missing modules would else be a traceback halfway."""
    try:
        import fcntl  # noqa: F401  what the state directory needs
    except ImportError as error:
        remedy = line("run it on Linux; on Windows, in WSL or in a container")
        raise ExporterError(line("this operating system is not supported"), remedy=remedy) from error


def _own_remedy(error: ExporterError, argv: Sequence[str]) -> Line:
    """Return the whole command line where another user must run it."""
    from exporter.ownership import WrongUserError, command_as

    return command_as(error.uid, argv) if isinstance(error, WrongUserError) else NOTHING


def _report(error: ExporterError, *, fix: Line = NOTHING, file: Path | None = None) -> ExitStatus:
    if isinstance(error, ConfigurationError):
        print(error, file=sys.stderr)
        return ExitStatus.USAGE_ERROR
    print(f"partnercenter-exporter: {error.message}", file=sys.stderr)
    if remedy := joined(filter(None, (error.remedy, fix)), ": "):
        from exporter.commands.configuration import as_called

        print(f"  fix: {as_called(remedy, file) if file else remedy}", file=sys.stderr)
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
    if isinstance(given["command"], argparse.ArgumentParser):
        given["command"].print_help(sys.stderr)
        raise SystemExit(ExitStatus.USAGE_ERROR)
    arguments: Arguments = read_flags(given["command"], given)
    if isinstance(arguments, args.Run) and arguments.check_only:
        arguments = args.Check(
            config_file=arguments.config_file, web_config_file=arguments.web_config_file, offline=True
        )
    if isinstance(arguments, args.Healthcheck) and arguments.pid:
        arguments = _with_flags_of_process(arguments, arguments.pid)
    return read_flags(Logging, given), arguments


def _with_flags_of_process(healthcheck: args.Healthcheck, pid: int) -> args.Healthcheck:
    """Ask where this process listens; if it isn't this program, as `docker run --entrypoint` has it, as given."""
    with suppress(OSError, ConfigurationError, SystemExit):  # it may be about to say that its flags are wrong
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="surrogateescape").split("\0")[:-1]
        names = [Path(word).name for word in words]
        if PROGRAM in names:
            _, served = parse(words[names.index(PROGRAM) + 1 :])
            if isinstance(served, args.Run):
                return args.Healthcheck(
                    listen_addresses=served.listen_addresses, web_config_file=served.web_config_file
                )
            if isinstance(served, args.Demo):
                return args.Healthcheck(listen_addresses=served.listen_addresses)
    return healthcheck


def _run(arguments: Arguments) -> ExitStatus:  # noqa: C901, PLR0911, PLR0912  one a command
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
        case args.AuthStatus():
            from exporter.commands import auth_status

            return auth_status.run(arguments)
        case args.Poll():
            from exporter.commands import poll

            return poll.run(arguments)
        case args.Reports():
            from exporter.commands import reports

            return reports.run(arguments)
        case args.Report():
            from exporter.commands import report

            return report.run(arguments)
        case args.ExampleConfig():
            from exporter.commands import example_config

            return example_config.run()
        case args.Assets():
            from exporter.commands import assets

            return assets.run(arguments)
        case _:
            assert_never(arguments)


def _commands() -> dict[str, type[Arguments]]:
    return {args.command_name(kind): kind for kind in get_args(Arguments)}


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description="Prometheus exporter for licence usage in Microsoft Partner Center.",
        epilog="To see it work, without any configuration: partnercenter-exporter demo",
        **_STYLE,
    )
    _add(parser, args.Run)
    commands = parser.add_subparsers(**_COMMANDS)
    groups: dict[str, Any] = {"": commands}
    for name, kind in _commands().items():
        text = inspect.getdoc(kind) or ""
        group, _, word = name.rpartition(" ")
        if group not in groups:
            groups[group] = _add_group(commands, group)
        _add(groups[group].add_parser(word, help=text.partition("\n")[0], description=text, **_STYLE), kind)
    return parser


def _add_group(commands: Any, name: str) -> Any:
    """Return what the commands that begin with this word are added to; it alone prints their help."""
    text = f"{name.capitalize()} commands; see {name} --help."
    parser = commands.add_parser(name, help=text, **_STYLE)
    parser.set_defaults(command=parser)
    _add_version(parser)
    return parser.add_subparsers(**_COMMANDS)


def _add(parser: argparse.ArgumentParser, kind: type[Arguments]) -> None:
    parser.set_defaults(command=kind)
    for flags in (kind, Logging):
        add_flags(parser, flags)
    _add_version(parser)


def _add_version(parser: argparse.ArgumentParser) -> None:
    version = (
        f"partnercenter-exporter, version {__version__} (revision: {revision()})\n"
        f"  branch: {branch()}\n  python version: {platform.python_version()}\n"
        f"  platform: {sys.platform}/{platform.machine()}"
    )
    parser.add_argument("--version", action="version", version=version, help="Print the version and exit.")
