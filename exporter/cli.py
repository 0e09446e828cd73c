"""Commands, flags, and the exit status: 0 done, 1 something failed, 2 wrong usage or configuration."""

import argparse
import importlib
import os
import platform
import sys
from collections.abc import Sequence
from typing import Any

from exporter import __version__
from exporter.errors import ConfigurationError, ExporterError

DONE, FAILED, WRONG_USAGE = 0, 1, 2
DEFAULT_PORT = 10058


def revision() -> str:
    """Return the source revision that the container build recorded."""
    return os.environ.get("PARTNERCENTER_EXPORTER_REVISION", "unknown")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    arguments = _parser().parse_args(argv)
    from exporter import logs  # noqa: PLC0415  --help and --version need no libraries

    logs.configure(level=arguments.log_level, log_format=arguments.log_format)
    try:
        command = importlib.import_module(f"exporter.commands.{arguments.command}")
        status = int(command.main(arguments))
        sys.stdout.flush()  # here, where a reader that went away can still be told from a mistake
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return WRONG_USAGE
    except ExporterError as error:
        print(f"partnercenter-exporter: {error.message}", file=sys.stderr)
        if error.remedy:
            print(f"  what to do: {error.remedy}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # The reader of our output went away (`check | head`); what it read was right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        # Ctrl+C is how these end; for the others it means that they could not do their work.
        return DONE if arguments.command in ("run", "demo", "simulate") else FAILED
    except Exception as error:  # noqa: BLE001  a person gets one line, never a traceback
        logs.get_logger().error("internal error", error=repr(error), where=logs.place_of(error))
        return FAILED
    return status


class _Parser(argparse.ArgumentParser):
    """Prometheus' way with flags: long names only, spelled out."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **{"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter, **options}
        )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="partnercenter-exporter",
        description="Prometheus exporter for licence usage in Microsoft Partner Center.",
        epilog="Without a command it runs the exporter. Begin with: partnercenter-exporter demo",
    )
    _add_common(parser, suppress=False)
    _add_web(parser, suppress=False)
    parser.set_defaults(command="run")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_run(commands)
    _add_check(commands)
    _add_login(commands)
    _add_demo(commands)
    _add_simulate(commands)
    _add_healthcheck(commands)
    _add_backfill(commands)
    return parser


def _add_common(parser: argparse.ArgumentParser, *, suppress: bool = True) -> None:
    """Add the flags of every command; a subcommand must not reset what stood before it."""

    def default(value: object) -> Any:
        return argparse.SUPPRESS if suppress else value

    parser.add_argument(
        "--config.file",
        dest="config_file",
        metavar="FILE",
        default=default("config.yaml"),
        help="the configuration (default: config.yaml)",
    )
    parser.add_argument(
        "--log.level",
        dest="log_level",
        choices=("debug", "info", "warn", "error"),
        default=default("info"),
        help="the least level that is logged (default: info)",
    )
    parser.add_argument(
        "--log.format",
        dest="log_format",
        choices=("logfmt", "json"),
        default=default("logfmt"),
        help="how a log line looks (default: logfmt)",
    )
    parser.add_argument("--version", action="version", version=_version(), help="print the version and stop")


def _version() -> str:
    return (
        f"partnercenter-exporter, version {__version__} (revision: {revision()})\n"
        f"  python version: {platform.python_version()}\n  platform: {sys.platform}/{platform.machine()}"
    )


def _add_web(parser: argparse.ArgumentParser, *, suppress: bool = True) -> None:
    def default(value: object) -> Any:
        return argparse.SUPPRESS if suppress else value

    parser.add_argument(
        "--web.listen-address",
        dest="listen_addresses",
        metavar="ADDRESS",
        # No list here: argparse would add the user's addresses to it.
        action="append",
        default=default(None),
        help=f"where to listen; may be given several times (default: :{DEFAULT_PORT})",
    )
    parser.add_argument(
        "--web.telemetry-path",
        dest="telemetry_path",
        metavar="PATH",
        default=default("/metrics"),
        help="where the metrics are (default: /metrics)",
    )
    parser.add_argument(
        "--web.config.file",
        dest="web_config_file",
        metavar="FILE",
        default=default(None),
        help="TLS, basic authentication and headers, in the format of exporter-toolkit",
    )
    parser.add_argument(
        "--web.enable-lifecycle",
        dest="lifecycle",
        action="store_true",
        default=argparse.SUPPRESS if suppress else False,
        help="allow POST /-/reload",
    )
    parser.add_argument(
        "--web.systemd-socket",
        dest="systemd_socket",
        action="store_true",
        default=argparse.SUPPRESS if suppress else False,
        help="listen on the sockets that systemd passes",
    )


def _add_command(commands: Any, name: str, words: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=words, description=words)
    parser.set_defaults(command=name)
    _add_common(parser)
    return parser


def _add_run(commands: Any) -> None:
    _add_web(_add_command(commands, "run", "poll in the background and serve the metrics until stopped"))


def _add_check(commands: Any) -> None:
    parser = _add_command(
        commands, "check", "read the configuration, sign in, poll every source once, and explain what fails"
    )
    parser.add_argument("--offline", action="store_true", help="stop after the configuration")
    parser.add_argument("--partner", metavar="NAME", help="only this partner")


def _add_login(commands: Any) -> None:
    parser = _add_command(commands, "login", "sign in once, in a browser, and save the refresh token")
    parser.add_argument("--partner", metavar="NAME", help="which partner; may be left out where there is one")
    parser.add_argument(
        "--import-refresh-token",
        dest="import_refresh_token",
        metavar="FILE",
        help="take over an existing refresh token of the same application instead; - reads standard input",
    )
    parser.add_argument(
        "--redirect-port",
        dest="redirect_port",
        metavar="PORT",
        type=int,
        default=DEFAULT_PORT + 1,
        help=f"the port on localhost that the browser comes back to (default: {DEFAULT_PORT + 1})",
    )


def _add_demo(commands: Any) -> None:
    parser = _add_command(commands, "demo", "run the whole exporter against a simulated Partner Center")
    parser.add_argument(
        "--web.listen-address",
        dest="listen_addresses",
        metavar="ADDRESS",
        action="append",
        default=argparse.SUPPRESS,
        help=f"where to listen; may be given several times (default: 127.0.0.1:{DEFAULT_PORT})",
    )
    _add_simulation(parser)


def _add_simulate(commands: Any) -> None:
    parser = _add_command(
        commands, "simulate", "run the simulated Entra ID and Partner Center alone, over TLS"
    )
    parser.add_argument(
        "--web.listen-address",
        dest="listen_addresses",
        metavar="ADDRESS",
        action="append",
        default=argparse.SUPPRESS,
        help="where to listen (default: 127.0.0.1:10443)",
    )
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        help="write a ready config.yaml with its secrets and certificate authority into this folder",
    )
    _add_simulation(parser)


def _add_simulation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, help="which partner is simulated (default: 1)")
    parser.add_argument(
        "--customers", type=int, default=40, help="how many customers that partner has (default: 40)"
    )
    parser.add_argument(
        "--speed", type=float, default=1.0, help="how much faster simulated time runs (default: 1)"
    )


def _add_healthcheck(commands: Any) -> None:
    _add_web(_add_command(commands, "healthcheck", "ask the local exporter whether it works; for containers"))


def _add_backfill(commands: Any) -> None:
    parser = _add_command(
        commands, "backfill", "write past days as OpenMetrics files, for promtool to make blocks of"
    )
    parser.epilog = _BACKFILL
    for flag, words in (("from", "the first day, as 2026-01-31"), ("to", "the last day, yesterday at most")):
        parser.add_argument(f"--{flag}", dest=f"{flag}_day", metavar="DATE", required=True, help=words)
    parser.add_argument("--output", metavar="DIR", required=True, help="where the files go, one a day")
    parser.add_argument(
        "--step", default="4m", metavar="DURATION", help="time between two samples of a series (default: 4m)"
    )
    parser.add_argument(
        "--label",
        dest="labels",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a label for every series, as job=partnercenter-exporter; may be given several times",
    )
    parser.add_argument("--partner", metavar="NAME", help="only this partner")
    parser.add_argument("--source", choices=("usage", "deployment"), help="only this source")


_BACKFILL = """\
The past comes from sources with `api: commercial`, which can be asked for the day that data were processed
on. A day's data stand at that day's samples, 00:00 to 24:00 UTC. The running exporter shows the same data
some days later, when Microsoft gives them out; how much later it was is not on record. The legacy API has no
past, and neither have the exporter's own metrics. Targets are today's.

Give the labels that Prometheus gives the exporter, so that past and present are one line:
  partnercenter-exporter backfill --from 2026-01-01 --to 2026-03-31 --output past \\
      --label job=partnercenter-exporter --label instance=exporter.example:10058
  for file in past/*.om; do
      promtool tsdb create-blocks-from openmetrics --max-block-duration=24h "$file" /var/lib/prometheus; done

Days whose file is there are left out, so that a second run goes on where the first stopped: use another
folder for other flags. A day without data gets no file, and one of the last week may be there in part only:
the log says so, and without its file it is asked for again. End with the day before the first scrape."""
