"""What the flags of each command become, and which values are rejected."""

import io
import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import __version__
from exporter.arguments import (
    Arguments,
    Assets,
    AuthStatus,
    Backfill,
    Check,
    Completion,
    Demo,
    ExampleConfig,
    Healthcheck,
    Login,
    Poll,
    Report,
    Run,
    Simulate,
    command_name,
)
from exporter.cli import parse
from exporter.errors import ConfigurationError
from exporter.flags import spellings
from exporter.model.rows import Api, SourceName

DAYS = ("--from=2026-01-30", "--to=2026-01-31", "--output=past")
REPORT = ("report", "--prometheus=http://p")
WEB = (
    "--config.file=c.yaml", "--web.listen-address=:1", "--web.listen-address=[::1]:2",
    "--web.telemetry-path=/m", "--web.config.file=w.yaml", "--web.enable-lifecycle", "--web.systemd-socket",
    "--config.enable-auto-reload", "--config.auto-reload-interval=1m30s",
)  # fmt: skip
REQUIRED: dict[type, tuple[str, ...]] = {Backfill: DAYS, Assets: ("--output=here",), Report: REPORT[1:]}
SIMULATED = ("--seed=3", "--customers=5", "--speed=1e3")


def arguments(*argv: str) -> Arguments:
    return parse(argv)[1]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (
            [],
            Run(
                config_file=Path("config.yaml"),
                listen_addresses=(":10058",),
                telemetry_path="/metrics",
                web_config_file=None,
                lifecycle=False,
                systemd_socket=False,
                auto_reload=False,
                auto_reload_seconds=30.0,
                check_only=False,
            ),
        ),
        (["run"], Run()),
        (["check"], Check(config_file=Path("config.yaml"), partner=None, all_apis=False, offline=False)),
        (
            ["login"],
            Login(config_file=Path("config.yaml"), partner=None, import_refresh_token=None, redirect_port=10059),
        ),
        (
            ["demo"],
            Demo(
                listen_addresses=("127.0.0.1:10058",), seed=1, customers=200, speed=1.0, api="commercial", output=None
            ),
        ),
        (
            ["simulate"],
            Simulate(listen_addresses=("127.0.0.1:10443",), files_port=0, output=None, seed=1, customers=40, speed=1.0),
        ),
        (["completion"], Completion(shell_name="bash")),
        (["auth", "status"], AuthStatus(config_file=Path("config.yaml"), partner=None, json=False)),
        (["poll"], Poll(config_file=Path("config.yaml"), partner=None, source=None)),
        (
            ["report", "--prometheus=http://localhost:9090/"],
            Report(
                prometheus="http://localhost:9090",
                http_config_file=None,
                report_format="html",
                partner=None,
                top=50,
                compare_seconds=2_592_000.0,
                output=None,
                timeout_seconds=60.0,
            ),
        ),
        (["example-config"], ExampleConfig()),
        (["assets", "--output=here"], Assets(output=Path("here"), overwrite=False)),
        (["healthcheck"], Healthcheck(listen_addresses=(":10058",), web_config_file=None)),
        (
            ["backfill", *DAYS],
            Backfill(
                config_file=Path("config.yaml"),
                first=date(2026, 1, 30),
                last=date(2026, 1, 31),
                output=Path("past"),
                step_seconds=240,
                labels=(),
                partner=None,
                source=None,
            ),
        ),
    ],
    ids=lambda value: " ".join(value[:1]) if isinstance(value, list) else "",
)
def test_a_flag_that_is_not_given_has_its_default(argv: list[str], expected: Arguments) -> None:
    assert arguments(*argv) == expected


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (
            ["run", *WEB],
            Run(
                config_file=Path("c.yaml"),
                listen_addresses=(":1", "[::1]:2"),
                telemetry_path="/m",
                web_config_file=Path("w.yaml"),
                lifecycle=True,
                systemd_socket=True,
                auto_reload=True,
                auto_reload_seconds=90.0,
            ),
        ),
        (
            ["healthcheck", *WEB],
            Healthcheck(
                config_file=Path("c.yaml"),
                listen_addresses=(":1", "[::1]:2"),
                telemetry_path="/m",
                web_config_file=Path("w.yaml"),
                lifecycle=True,
                systemd_socket=True,
                auto_reload=True,
                auto_reload_seconds=90.0,
            ),
        ),
        (["completion", "zsh"], Completion(shell_name="zsh")),
        (
            ["auth", "status", "--config.file=c.yaml", "--partner=contoso", "--json"],
            AuthStatus(config_file=Path("c.yaml"), partner="contoso", json=True),
        ),
        (
            ["poll", "--config.file=c.yaml", "--partner=contoso", "--source=usage"],
            Poll(config_file=Path("c.yaml"), partner="contoso", source=SourceName.USAGE),
        ),
        (["assets", "--output=here", "--overwrite"], Assets(output=Path("here"), overwrite=True)),
        (
            ["report", "--prometheus=https://p.example/a/api/v1/", "--http.config.file=h.yml", "--format=CSV",
             "--partner=contoso", "--top=5", "--compare=1w", "--output=o.csv", "--timeout=5m", "--log.format=json"],
            Report(
                prometheus="https://p.example/a",
                http_config_file=Path("h.yml"),
                report_format="csv",
                partner="contoso",
                top=5,
                compare_seconds=604_800.0,
                output=Path("o.csv"),
                timeout_seconds=300.0,
            ),
        ),
        (
            ["check", "--config.file=c.yaml", "--partner=contoso", "--all-apis", "--offline"],
            Check(config_file=Path("c.yaml"), partner="contoso", all_apis=True, offline=True),
        ),
        (
            ["login", "--config.file", "c.yaml", "--partner", "contoso", "--import-refresh-token", "-",
             "--redirect-port", "0"],
            Login(config_file=Path("c.yaml"), partner="contoso", import_refresh_token="-", redirect_port=0),
        ),
        (
            ["demo", *SIMULATED, "--web.listen-address=:1", "--web.listen-address=:2", "--api=insights"],
            Demo(listen_addresses=(":1", ":2"), seed=3, customers=5, speed=1000.0, api="insights"),
        ),
        (
            ["simulate", *SIMULATED, "--web.listen-address=:1", "--files-port=2", "--output=folder"],
            Simulate(listen_addresses=(":1",), files_port=2, seed=3, customers=5, speed=1000.0, output=Path("folder")),
        ),
        (
            ["backfill", *DAYS, "--config.file=c.yaml", "--step=1h", "--label=job=a", "--label=instance=b=c",
             "--partner=contoso", "--source=usage"],
            Backfill(
                config_file=Path("c.yaml"),
                first=date(2026, 1, 30),
                last=date(2026, 1, 31),
                output=Path("past"),
                step_seconds=3600,
                labels=(("job", "a"), ("instance", "b=c")),
                partner="contoso",
                source=SourceName.USAGE,
            ),
        ),
    ],
    ids=lambda value: " ".join(value[:1]) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_flag_that_is_given_is_read_as_its_type(argv: list[str], expected: Arguments) -> None:
    assert arguments(*argv) == expected


@pytest.mark.parametrize(
    "argv",
    [
        ["--config.file=c.yaml", "check"],
        ["check", "--config.file=c.yaml"],
        ["--config.file=elsewhere.yaml", "check", "--config.file=c.yaml"],
    ],
    ids=["before", "after", "both"],
)
def test_flags_count_before_and_after_the_command(argv: list[str]) -> None:
    assert arguments(*argv) == Check(config_file=Path("c.yaml"))
    assert arguments("--web.listen-address=:1", "demo") == Demo(listen_addresses=(":1",))


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--config.check"], Check(offline=True)),
        (["run", "--config.check", "--config.file=c.yaml"], Check(config_file=Path("c.yaml"), offline=True)),
        (["--config.check", "--config.file=c.yaml", "run", "--web.listen-address=:1"],
         Check(config_file=Path("c.yaml"), offline=True)),
        (["--config.check", "--no-config.check"], Run()),
        (["--config.check", "run", "--no-config.check"], Run()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_config_check_is_check_offline(argv: list[str], expected: Arguments) -> None:
    assert arguments(*argv) == expected


SWITCHES = [
    (kind, field.name, field.type.__metadata__[0].name)  # type: ignore[union-attr]  # all annotated
    for kind in get_args(Arguments)
    for field in fields(kind)
    if isinstance(field.default, bool) and field.name != "check_only"
]


@pytest.mark.parametrize(
    ("kind", "name", "flag"), SWITCHES, ids=lambda value: value if isinstance(value, str) else command_name(value)
)
def test_of_a_switch_and_its_opposite_the_last_one_counts(kind: type[Arguments], name: str, flag: str) -> None:
    command = (*command_name(kind).split(), *REQUIRED.get(kind, ()))
    off = f"--no-{flag.removeprefix('--')}"
    for argv, expected in (
        ((*command, flag), True),
        ((*command, off), False),
        ((*command, flag, off), False),
        ((*command, off, flag), True),
        ((*command, flag, off, off, flag), True),
    ):
        assert getattr(arguments(*argv), name) is expected


def test_a_switch_before_the_command_is_turned_off_after_it() -> None:
    assert arguments("--web.enable-lifecycle", "run", "--no-web.enable-lifecycle") == Run()
    assert arguments("--no-web.enable-lifecycle", "run", "--web.enable-lifecycle") == Run(lifecycle=True)
    assert arguments("--web.enable-lifecycle", "run") == Run(lifecycle=True)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1", 1.0), ("60", 60.0), ("1s", 1.0), ("1m30s", 90.0), ("1500ms", 1.5), ("1y", 31_536_000.0)]
)
def test_the_reload_interval_is_a_duration_or_seconds(text: str, seconds: float) -> None:
    assert arguments(f"--config.auto-reload-interval={text}") == Run(auto_reload_seconds=seconds)


def test_every_command_takes_the_flags_for_logs() -> None:
    for kind in get_args(Arguments):
        log, _ = parse([*command_name(kind).split(), *REQUIRED.get(kind, ()), "--log.level=warn", "--log.format=json"])
        assert (log.level, log.format) == ("warn", "json")
    log, _ = parse(["--log.level=debug"])
    assert (log.level, log.format) == ("debug", "logfmt")


@pytest.mark.parametrize(
    ("words", "level"),
    [
        ("DEBUG", "debug"), ("Info", "info"), ("WARN", "warn"), ("Warning", "warn"), ("warning", "warn"),
        ("eRRor", "error"),
    ],
)  # fmt: skip
def test_log_level_and_format_are_read_in_any_case(words: str, level: str) -> None:
    log, _ = parse([f"--log.level={words}", "--log.format=JSON"])
    assert (log.level, log.format) == (level, "json")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--config.file=~/config.yaml"], "--config.file: ~ is not expanded here: write the whole path"),
        (["check", "--config.file=$HOME/config.yaml"], "--config.file: $HOME is not expanded here"),
        (["--web.config.file=~exporter/web.yml"], "--web.config.file: ~exporter is not expanded here"),
        (["simulate", "--output=~/simulated"], "--output: ~ is not expanded here"),
        (["backfill", *DAYS, "--output=~"], "--output: ~ is not expanded here"),
        (["--web.telemetry-path=metrics"], "--web.telemetry-path: 'metrics' can't be used"),
        (["--web.telemetry-path=/-/ready"], "--web.telemetry-path: '/-/ready' can't be used"),
        (["--web.telemetry-path="], "--web.telemetry-path: '' can't be used"),
        (["--web.telemetry-path=/{a}"], "--web.telemetry-path: '/{a}' can't be used"),
        (["--config.auto-reload-interval=0"], "--config.auto-reload-interval: invalid interval '0': use at least 1s"),
        (["--config.auto-reload-interval=999ms"], "--config.auto-reload-interval: invalid interval '999ms'"),
        (["--config.auto-reload-interval=-1"], "--config.auto-reload-interval: invalid duration"),
        (["--config.auto-reload-interval=" + "9" * 5_000], "--config.auto-reload-interval: invalid interval '999"),
        (["--config.auto-reload-interval=2y"], "--config.auto-reload-interval: a duration must be positive"),
        (["login", "--redirect-port=x"], "--redirect-port: invalid int value: 'x'"),
        (["demo", "--seed=x"], "--seed: invalid int value: 'x'"),
        (["demo", "--speed=0"], "--speed: invalid speed '0': give a number above 0, at most 10,000,000"),
        (["demo", "--speed=nan"], "--speed: invalid speed 'nan'"),
        (["demo", "--speed=fast"], "--speed: invalid speed 'fast'"),
        (["simulate", "--speed=-1"], "--speed: invalid speed '-1'"),
        (["simulate", "--files-port=65536"], "--files-port: invalid port '65536': give a number from 0 to 65535"),
        (["simulate", "--files-port=-1"], "--files-port: invalid port '-1'"),
        (["simulate", "--files-port=x"], "--files-port: invalid int value: 'x'"),
        (["simulate", "--speed=inf"], "--speed: invalid speed 'inf'"),
        (["backfill", *DAYS, "--step=1.5s"], "--step: invalid duration"),
        (["backfill", *DAYS, "--step=1ms"], "--step: invalid step '1ms': use whole seconds from 1s to 1d"),
        (["backfill", *DAYS, "--step=2d"], "--step: invalid step '2d'"),
        (["backfill", *DAYS, "--label=job"], "--label: invalid label 'job': write it as"),
        (["backfill", *DAYS, "--label=__name__=x"], "--label: invalid label '__name__=x'"),
        *(
            ([*REPORT[:1], f"--prometheus={url}"], "--prometheus: invalid URL: use http:// or https://, host and port")
            for url in ("prometheus:9090", "ftp://p", "http://", "http://p:0", "http://p:x", "http://p?q=1", "http://p/#a",
                        "http://p p", "http://[", "http://ü")
        ),
        (["report", "--prometheus=http://user:hunter2@p"], "--prometheus: every user of this machine can read"),
        ([*REPORT, "--top=0"], "--top: invalid number '0': use 1 to 10,000"),
        ([*REPORT, "--top=many"], "--top: invalid int value: 'many'"),
        ([*REPORT, "--compare=23h"], "--compare: invalid duration '23h': use at least 1d"),
        ([*REPORT, "--compare=month"], "--compare: invalid duration: write it like"),
        ([*REPORT, "--timeout=2h"], "--timeout: invalid timeout '2h': use 1s to 1h"),
        ([*REPORT, "--output=~/report.html"], "--output: ~ is not expanded here"),
        (["backfill", *DAYS, "--source=sales"], "--source: invalid source 'sales': choose from usage, "),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_flag(argv: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^command line: {re.escape(message)}"):
        parse(argv)


def test_all_wrong_values_are_named_at_once() -> None:
    today = datetime.now(UTC).date()
    with pytest.raises(ConfigurationError) as raised:
        parse(["backfill", "--from=yesterday", f"--to={today}", "--output=past", "--step=1.5s",
               "--label=job", "--label=partner=x"])  # fmt: skip
    assert [(problem.path, problem.message.split(":")[0]) for problem in raised.value.problems] == [
        ("--from", "invalid date 'yesterday'"),
        ("--to", f"{today} is not over yet"),
        ("--step", "invalid duration"),
        ("--label", "invalid label 'job'"),
        ("--label", "the series already have a label partner"),
    ]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--log.level=loud"], "invalid choice: 'loud'"),
        (["--log.format=xml"], "invalid choice: 'xml'"),
        (["--web.listen"], "unrecognized arguments: --web.listen"),
        (["dance"], "invalid choice: 'dance'"),
        (["completion", "fish"], "invalid choice: 'fish'"),
        (["check", "--web.enable-lifecycle"], "unrecognized arguments: --web.enable-lifecycle"),
        (["backfill"], "the following arguments are required: --from, --to, --output"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_unknown_flag_is_a_usage_error(capsys: pytest.CaptureFixture[str], argv: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as raised:
        parse(argv)
    assert raised.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--config-file=x"], "unrecognized arguments: --config-file=x: did you mean --config.file?"),
        (["--config_file", "x"], "unrecognized arguments: --config_file: did you mean --config.file?"),
        (["-config.file", "x"], "unrecognized arguments: -config.file: did you mean --config.file?"),
        (["-web.listen-address=:1"], "did you mean --web.listen-address?"),
        (["--listen-address=:1"], "did you mean --web.listen-address?"),
        (["check", "--ofline"], "unrecognized arguments: --ofline: did you mean --offline?"),
        (["check", "--JSON"], "did you mean --json?"),
        (["--offline"], "--offline: it is a flag of check: write it after the command"),
        (["login", "--web.enable-lifecycle"], "it is a flag of run"),
        (["login", "--log-level=debug"], "did you mean --log.level?"),
        (["--config.file", "x", "chek"], "invalid choice: 'chek': did you mean check?"),
        (["Check"], "invalid choice: 'Check': did you mean check?"),
        (["config.yaml"], "invalid choice: 'config.yaml': did you mean --config.file=config.yaml?"),
        (["help"], "invalid choice: 'help': did you mean --help?"),
        (["check", "-?"], "did you mean --help?"),
        (["-v"], "did you mean --version?"),
        (["version"], "did you mean --version?"),
        (["check", "contoso"], "unrecognized arguments: contoso: check takes flags only"),
        (["check", "--xyzzy"], "unrecognized arguments: --xyzzy"),
        (["--config.file"], "argument --config.file: expected one argument"),
        (
            ["login", "--import-refresh-token", "--config.file", "x.yaml"],
            "argument --import-refresh-token: expected one argument",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_line_that_names_the_right_word(
    capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as raised:
        parse(argv)
    assert raised.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    [line] = printed.err.splitlines()
    assert line.startswith("partnercenter-exporter: error: ")
    assert message in line


@given(
    argv=st.lists(
        st.one_of(
            st.text(max_size=8),
            st.sampled_from(["check", "run", "login", "--config.file", "--offline", "--speed", "-1", "-", "--", "-x"]),
        ),
        max_size=5,
    )
)
def test_any_command_line_is_read_or_refused_in_one_line(argv: list[str]) -> None:
    status = 0
    with redirect_stderr(io.StringIO()) as said, redirect_stdout(io.StringIO()):
        try:
            parse(argv)
        except ConfigurationError:
            return
        except SystemExit as leaving:
            status = int(leaving.code or 0)
    assert (status, said.getvalue().count("\n")) in ((0, 0), (2, 1))


def test_healthcheck_takes_every_flag_of_run_and_shows_those_that_it_heeds(capsys: pytest.CaptureFixture[str]) -> None:
    flags = [flag for flag in spellings(Run) if flag.names[0] != "--config.check"]
    words = {"DURATION": "30s", "PATH": "/metrics", "ADDRESS": ":1", "FILE": "x"}
    argv = [f"{flag.names[0]}={words[flag.metavar]}" if flag.takes_value else flag.names[0] for flag in flags]
    _, arguments = parse(["healthcheck", *argv])
    assert isinstance(arguments, Healthcheck)
    with pytest.raises(SystemExit):
        parse(["healthcheck", "--help"])
    shown = set(re.findall(r"--[\w.-]+", capsys.readouterr().out))
    heeded = {"--web.listen-address", "--web.config.file", "--pid"}
    assert shown == heeded | {"--log.level", "--log.format", "--version", "--help"}
    assert {flag.names[0] for flag in spellings(Healthcheck)} == heeded


def test_help_names_every_command_with_its_flags_and_their_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    def help_of(*argv: str) -> str:
        with pytest.raises(SystemExit) as raised:
            parse([*argv, "--help"])
        assert raised.value.code == 0
        return " ".join(capsys.readouterr().out.split())

    overview = help_of()
    for kind in get_args(Arguments):
        *group, name = command_name(kind).split()
        text = help_of(*group, name)
        assert f" {name} {kind.__doc__.splitlines()[0]}" in (help_of(*group) if group else overview)
        for flag in ("--log.level", "--log.format", "--version"):
            assert flag in text
        for field in fields(kind):
            [declared] = field.type.__metadata__  # type: ignore[union-attr]  # every one is annotated with a flag
            heeded = kind is not Healthcheck or field.name in Healthcheck.HEEDED
            assert (declared.name.partition("=")[0] in text) == heeded
        without = (Assets, Completion, Demo, ExampleConfig, Report, Simulate, Healthcheck)
        assert ("--config.file" in text) == (kind not in without)
    for default in (":10058", "/metrics", "config.yaml", "info", "logfmt"):
        assert f"(default: {default})" in overview
    assert "(default: 4m)" in help_of("backfill")


@pytest.mark.parametrize("command", [[], ["run"], ["check"]])
def test_version_names_program_version_and_python(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("PARTNERCENTER_EXPORTER_BRANCH", "release-1")
    monkeypatch.setenv("PARTNERCENTER_EXPORTER_REVISION", "abc")
    with pytest.raises(SystemExit) as raised:
        parse([*command, "--version"])
    assert raised.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"partnercenter-exporter, version {__version__} (revision: abc)\n")
    assert "\n  branch: release-1\n  python version: 3." in printed


def test_the_demo_takes_every_api_and_no_other() -> None:
    (choices,) = (each.choices for each in spellings(Demo) if "--api" in each.names)
    assert choices == tuple(Api)


def test_help_with_one_dash_is_help_or_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    # From 3.13 on, argparse takes it for -h.
    with pytest.raises(SystemExit) as raised:
        parse(["-help"])
    printed = capsys.readouterr()
    if raised.value.code:
        assert "did you mean --help?" in printed.err
    else:
        assert "usage: partnercenter-exporter" in printed.out
