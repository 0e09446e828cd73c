"""`check`: what works, what fails, and how to fix it."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from partnercenter_simulator import Fault, Simulator
from tests.e2e.conftest import NO_AUTHORITIES, Ended, Run, run
from tests.fixtures import usage_item
from tests.support.config import write_config
from tests.support.files import UNUSABLE
from tests.support.process import PATIENCE_SECONDS, environment, until

LOGIN = "partnercenter-exporter login --partner contoso"
COMMERCIAL = "try `api: commercial` for this source"
USAGE_ONLY = {"deployment": {"enabled": False}}
# Longer than a poll waits, so that nothing is retried.
LATER = 3_600


@pytest.fixture
def check(run_here: Run) -> Run:
    """Return a function that runs the command; it fails if that shows a traceback."""

    def call(file: Path, *flags: str) -> Ended:
        ended = run_here("check", f"--config.file={file}", *flags)
        assert "Traceback" not in ended.stderr
        return ended

    return call


def test_a_good_configuration_is_polled_and_shown_as_a_table(simulator: Simulator, tmp_path: Path) -> None:
    file = write_config(
        tmp_path,
        simulator,
        partner={"client_secret_expires": "2027-05-01"},
        targets=[{"ratio": 0.5}, {"ratio": 0.8, "workload": "Exchange"}],
    )
    ended = run("check", f"--config.file={file}")
    assert ended.status == 0
    out = ended.stdout
    assert f"contoso (cloud global, tenant {simulator.tenant_id})" in out
    assert f"sign-in: OK as {simulator.user}, refresh token expires " in out
    assert "client credential: expires 2027-05-01 00:00:00 UTC" in out
    assert "usage (legacy API): 24 rows, newest processed " in out
    assert "deployment (legacy API): 6 rows, newest processed " in out
    figures = simulator.dataset.usage(simulator.time.data_now())
    table = [line.split("  ") for line in out.splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in table]
    for figure in figures:
        [row] = [c for c in cells if c[:3] == [figure.workload, figure.service, figure.channel]]
        assert row[3] == f"{figure.active / figure.qualified:.1%}"
        assert row[4] == ("80%" if figure.workload == "Exchange" else "50%")
    assert "FAILED" not in out
    assert "matches no series" not in out
    # Progress is not part of the result.
    assert "polling usage" in ended.stderr


@pytest.mark.parametrize(
    ("key", "damage"),
    [("refresh_token_file", damage) for damage in UNUSABLE] + [("ca_file", damage) for damage in UNUSABLE],
)
def test_offline_finds_the_files_that_a_start_or_reload_could_not_use(
    simulator: Simulator, tmp_path: Path, check: Run, key: str, damage: str
) -> None:
    named = {key: UNUSABLE[damage](tmp_path)}
    keys: dict[str, Any] = {"http": named} if key == "ca_file" else {"partner": named}
    file = write_config(tmp_path, simulator, **keys)
    ended = check(file, "--offline")
    assert ended.status == 2
    [line] = ended.stderr.splitlines()
    assert re.match(rf"{file}:\d+: (http|partners\[0\])\.{key}: can't (use|read) ", line)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("ca.pem", "is not a directory"),
        ("ca.pem/below", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("loop", "Too many levels of symbolic links"),
        ("loop/below", "Too many levels of symbolic links"),
        ("dangling", "is a link that leads nowhere"),
    ],
)
def test_offline_finds_a_state_dir_that_can_not_be_one(
    simulator: Simulator, tmp_path: Path, check: Run, state: str, reason: str
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    ended = check(write_config(tmp_path, simulator, state_dir=state), "--offline")
    assert ended.status == 2
    [line] = ended.stderr.splitlines()
    assert re.match(rf"{tmp_path}/config\.yaml:\d+: state_dir: can't use .*{reason}", line)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTPS_PROXY", "socks5://hunter2@proxy"),
        ("ALL_PROXY", "ftp://hunter2@proxy"),
        ("ALL_PROXY", "socks5://user:hunter2@proxy:1080"),
        ("HTTP_PROXY", "http://hunter2@[::1"),
        ("HTTPS_PROXY", "http://hunter2\t:1"),
    ],
)
def test_offline_finds_a_proxy_of_the_environment_that_can_not_be_used(
    simulator: Simulator, tmp_path: Path, check: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    ended = check(write_config(tmp_path, simulator), "--offline")
    assert ended.status == 2
    [line] = ended.stderr.splitlines()
    assert variable in line
    assert f"{variable}: use http://host:port" in line
    assert "hunter2" not in ended.stderr


@pytest.mark.parametrize(
    ("value", "warned"),
    [("[::1],fe80::/10,10.0.0.0/8", ""), ("localhost,nonsense:port", "nonsense:port"), ("x://a:hunter2@b", "entry 1")],
)
@pytest.mark.parametrize("proxy", ["", "http://127.0.0.1:1"])
def test_no_proxy_stops_nothing_and_an_entry_that_means_nothing_is_named_once(
    simulator: Simulator,
    tmp_path: Path,
    check: Run,
    monkeypatch: pytest.MonkeyPatch,
    *,
    value: str,
    warned: str,
    proxy: str,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", value)
    ended = check(write_config(tmp_path, simulator), "--offline")
    assert ended.status == 0
    assert ended.stderr.count("wrong entries ignored") == bool(warned)
    assert warned in ended.stderr
    assert ("variable=NO_PROXY" in ended.stderr) is bool(warned)
    assert "hunter2" not in ended.stdout + ended.stderr


def test_offline_writes_nothing_and_needs_no_state_dir(simulator: Simulator, tmp_path: Path, check: Run) -> None:
    file = write_config(tmp_path, simulator, state_dir="/proc/nowhere/state")
    before = sorted(tmp_path.rglob("*"))
    ended = check(file, "--offline")
    assert (ended.status, ended.stderr) == (0, "")
    assert sorted(tmp_path.rglob("*")) == before


def test_the_commercial_api_shows_its_counts(simulator: Simulator, tmp_path: Path, check: Run) -> None:
    commercial = {"api": "commercial", "detail": ["customer"]}
    ended = check(write_config(tmp_path, simulator, sources={"usage": commercial, "deployment": commercial}))
    assert ended.status == 0
    assert "usage (commercial API): " in ended.stdout
    assert "with detail: " in ended.stdout
    figure = simulator.dataset.usage(simulator.time.data_now())[0]
    [row] = [
        cells
        for line in ended.stdout.splitlines()
        if (cells := [cell.strip() for cell in line.split("  ") if cell.strip()])[:3]
        == [figure.workload, figure.service, figure.channel]
    ]
    assert row[4:6] == [f"{figure.active:,.0f}", f"{figure.qualified:,.0f}"]


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        (Fault(kind="mfa_required", endpoint="usage"), "mfa", f"require MFA for the account, then {LOGIN}"),
        (Fault(kind="throttled", endpoint="usage", retry_after=LATER), "throttled", "a longer poll.interval asks less"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_poll_that_fails_is_explained(
    check: Run, simulator: Simulator, tmp_path: Path, fault: Fault, reason: str, words: str
) -> None:
    simulator.faults.add(fault)
    ended = check(write_config(tmp_path, simulator))
    assert ended.status == 1
    lines = ended.stdout.splitlines()
    [place] = [number for number, line in enumerate(lines) if "FAILED" in line]
    assert lines[place].startswith(f"  usage (legacy API): FAILED ({reason}): ")
    assert lines[place + 1].startswith("    Fix: ")
    assert words in lines[place + 1]
    asked = simulator.requests.of("usage")[-1]
    assert lines[place + 2] == (
        f"    For Microsoft support: correlation ID {asked.headers['ms-correlationid']}, "
        f"request ID {asked.headers['ms-requestid']}"
    )
    # One source's failure doesn't hide another's result.
    assert "deployment (legacy API): 6 rows" in ended.stdout


def test_an_answer_without_rows_is_good_and_explained(check: Run, simulator: Simulator, tmp_path: Path) -> None:
    simulator.faults.add(Fault(kind="empty_rows", endpoint="usage"))
    ended = check(write_config(tmp_path, simulator, sources=USAGE_ONLY))
    assert ended.status == 0
    assert "usage (legacy API): 0 rows\n    The API returned no rows.\n" in ended.stdout
    assert COMMERCIAL in ended.stdout


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("wrong secret", ("AADSTS7000215", "put it where the configuration points; the refresh token remains valid")),
        ("no token", ("there is no refresh token yet", LOGIN)),
        ("dead token", ("AADSTS50173", LOGIN)),
        ("refused", ("Connection refused", "check the firewall, and host and port in `authority` or `api_url`")),
        ("not trusted", ("certificate is not trusted", "http.ca_file")),
    ],
)
def test_a_sign_in_that_fails_is_explained(
    check: Run, simulator: Simulator, tmp_path: Path, trouble: str, words: tuple[str, str]
) -> None:
    file = write_config(tmp_path, simulator, refresh_token=None if trouble == "no token" else "")
    if trouble == "wrong secret":
        (tmp_path / "client-secret").write_text("another")
    elif trouble == "dead token":
        simulator.entra.revoke_all()
    elif trouble == "refused":
        simulator.stop()
    elif trouble == "not trusted":
        with Simulator() as other:
            (tmp_path / "ca.pem").write_bytes(other.ca_pem)
    ended = check(file)
    assert ended.status == 1
    [failed] = [line for line in ended.stdout.splitlines() if "FAILED" in line]
    assert failed.startswith("  sign-in: FAILED (")
    assert words[0] in failed
    remedy = ended.stdout.split(failed)[1]
    assert "Fix: " in remedy
    assert words[1] in remedy
    assert simulator.requests.count("usage") == 0


@pytest.mark.parametrize("command", [(), ("run",)], ids=["no command", "run"])
@pytest.mark.parametrize("keys", [{}, {"pol": {}}], ids=["good", "bad"])
def test_config_check_prints_and_ends_as_check_offline_does(
    run_here: Run, simulator: Simulator, tmp_path: Path, command: tuple[str, ...], keys: dict[str, Any]
) -> None:
    file = write_config(tmp_path, simulator, **keys)
    ended = run_here(*command, f"--config.file={file}", "--config.check", "--web.listen-address=:1")
    assert ended == run_here("check", "--offline", f"--config.file={file}")
    assert ended.status == (2 if keys else 0)
    assert simulator.requests.count() == 0


ENCODINGS = {
    "C, as it is": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "ascii, strict": {"PYTHONIOENCODING": "ascii:strict"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "utf-8": {"PYTHONIOENCODING": "utf-8"},
}


@pytest.mark.parametrize("env", ENCODINGS.values(), ids=ENCODINGS)
def test_a_terminal_without_some_characters_gets_a_table_that_is_aligned(
    simulator: Simulator, tmp_path: Path, env: dict[str, str]
) -> None:
    names = ("B\N{LATIN SMALL LETTER U WITH DIAERESIS}ro", "\N{SNOWMAN} \N{GRINNING FACE}", "\ud800", "plain")
    rows = [usage_item(workloadName=name) for name in names]
    simulator.faults.add(Fault(kind="rows", endpoint="usage", rows=rows))
    file = write_config(tmp_path, simulator, sources=USAGE_ONLY)
    ended = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-m", "exporter", "check", f"--config.file={file}"],
        capture_output=True, check=False, env=environment(NO_AUTHORITIES | env), timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert ended.returncode == 0
    assert b"Traceback" not in ended.stderr
    encoding = env.get("PYTHONIOENCODING", "ascii").partition(":")[0]
    printed = ended.stdout.decode(encoding).splitlines()
    assert ("polling usage ..." in ended.stderr.decode(encoding)) == (encoding != "utf-8")
    [head] = [number for number, line in enumerate(printed) if line.split()[:1] == ["workload"]]
    table = printed[head : head + 2 + len(names)]
    column = table[0].index("service")
    assert {line[column - 1] for line in table} == {" "}
    assert {line[column:].split()[0] for line in table[2:]} == {"o365"}
    assert ("\\u2603" in ended.stdout.decode(encoding)) == (encoding != "utf-8")


def test_offline_stops_after_the_configuration(check: Run, simulator: Simulator, tmp_path: Path) -> None:
    file = write_config(tmp_path, simulator)
    ended = check(file, "--offline")
    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout == f"{file}: configuration is valid: 1 partner (contoso), 2 sources\n"
    assert simulator.requests.count() == 0
    assert not (tmp_path / "state").exists()


def with_second_partner(file: Path, simulator: Simulator) -> None:
    """Add a partner `fabrikam` of the same tenant."""
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    (file.parent / "token-2").write_text(simulator.entra.issue_refresh_token())
    content["partners"].append(content["partners"][0] | {"name": "fabrikam", "refresh_token_file": "token-2"})
    file.write_text(yaml.safe_dump(content))


def test_partner_limits_the_check_to_one(check: Run, simulator: Simulator, tmp_path: Path) -> None:
    file = write_config(
        tmp_path,
        simulator,
        targets=[
            {"ratio": 0.5, "partner": "contoso", "workload": "Nothing"},
            {"ratio": 0.5, "partner": "fabrikam", "workload": "Nothing"},
        ],
    )
    with_second_partner(file, simulator)
    ended = check(file, "--partner=Fabrikam")
    assert ended.status == 0
    assert "fabrikam (cloud global" in ended.stdout
    assert "contoso (cloud global" not in ended.stdout
    assert simulator.requests.count("usage") == 1
    idle = [line for line in ended.stdout.splitlines() if "matches no series" in line]
    assert idle == ["target 0.5 for partner='fabrikam', workload='Nothing' matches no series: check its spelling"]


def test_targets_that_match_nothing_are_named(check: Run, simulator: Simulator, tmp_path: Path) -> None:
    targets = [{"ratio": 0.5}, {"ratio": 0.7, "workload": "Exchnage"}, {"ratio": 0.7, "service": "o365"}]
    file = write_config(tmp_path, simulator, targets=targets, sources=USAGE_ONLY)
    ended = check(file)
    assert ended.status == 0
    idle = [line for line in ended.stdout.splitlines() if "matches no series" in line]
    assert idle == ["target 0.7 for workload='Exchnage' matches no series: check its spelling"]


def test_targets_are_not_reported_as_unmatched_after_a_failed_poll(
    check: Run, simulator: Simulator, tmp_path: Path
) -> None:
    simulator.faults.add(Fault(kind="status", endpoint="usage", status=403))
    file = write_config(tmp_path, simulator, targets=[{"ratio": 0.7}], sources=USAGE_ONLY)
    assert "matches no series" not in check(file).stdout


@pytest.mark.parametrize("buffering", ["buffered", "unbuffered"])
def test_a_closed_pipe_is_not_reported_as_an_error(simulator: Simulator, tmp_path: Path, buffering: str) -> None:
    file = write_config(tmp_path, simulator)
    env = environment({**NO_AUTHORITIES, "PYTHONUNBUFFERED": "1" if buffering == "unbuffered" else ""})
    command = [sys.executable, "-m", "exporter", "check", "--offline", f"--config.file={file}"]
    with subprocess.Popen(  # noqa: S603  our own program
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(PATIENCE_SECONDS) in (0, 1)
    assert said == ""


def document_of(ended: Ended) -> dict[str, Any]:
    """Return the one JSON document on standard output; fail if there is anything else, or another status."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    document: dict[str, Any] = json.loads(ended.stdout, parse_constant=refuse)
    assert document["status"] == ended.status
    assert set(document) == {"file", "status", "errors", "warnings", "partners"}
    for entry in (*document["errors"], *document["warnings"]):
        assert {"file", "line", "path", "message"} <= set(entry)
    return document


def test_json_says_what_was_polled(check: Run, simulator: Simulator, tmp_path: Path) -> None:
    targets = [{"ratio": 0.7, "workload": "Exchnage"}]
    file = write_config(tmp_path, simulator, partner={"client_secret_expires": "2021-05-01"}, targets=targets)
    number = next(n for n, line in enumerate(file.read_text().splitlines(), 1) if "client_secret_expires" in line)
    document = document_of(check(file, "--json"))
    assert (document["file"], document["status"], document["errors"]) == (str(file), 0, [])
    [late, unmatched] = document["warnings"]
    assert (late["file"], late["line"], late["path"]) == (str(file), number, "partners[0].client_secret_expires")
    assert unmatched["message"] == "target 0.7 for workload='Exchnage' matches no series: check its spelling"
    [partner] = document["partners"]
    assert (partner["name"], partner["cloud"]) == ("contoso", "global")
    assert (partner["tenant_id"], partner["client_id"]) == (simulator.tenant_id, simulator.client_id)
    assert (partner["sign_in"]["status"], partner["sign_in"]["account"]) == ("ok", simulator.user)
    assert partner["sign_in"]["credential_expires"] == "2021-05-01T00:00:00Z"
    [usage, deployment] = partner["sources"]
    assert (usage["source"], usage["api"], usage["status"], usage["rows"]) == ("usage", "legacy", "ok", 24)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", usage["newest_processed"])
    assert (deployment["source"], deployment["rows"], deployment["dropped"]) == ("deployment", 6, {})


def test_json_says_what_failed_and_how_to_mend_it(check: Run, simulator: Simulator, tmp_path: Path) -> None:
    simulator.faults.add(Fault(kind="status", endpoint="usage", status=403, code=900308))
    document = document_of(check(write_config(tmp_path, simulator), "--json"))
    assert document["status"] == 1
    [usage, deployment] = document["partners"][0]["sources"]
    assert (usage["status"], usage["reason"]) == ("failed", "forbidden")
    assert usage["remedy"].startswith("give the account a partner role")
    assert usage["message"]
    assert usage["correlation_id"] == simulator.requests.of("usage")[-1].headers["ms-correlationid"]
    assert deployment["status"] == "ok"


def shape(value: Any) -> Any:
    """Return the keys of a document, without those values that are no mappings."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else None


def test_json_is_what_the_readme_shows(check: Run, simulator: Simulator, tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    example = json.loads(readme.partition("```json\n")[2].partition("```")[0])
    simulator.faults.add(Fault(kind="status", endpoint="usage", status=403, code=900308))
    file = write_config(tmp_path, simulator, partner={"client_secret_expires": "2021-05-01"})
    assert shape(document_of(check(file, "--json"))) == shape(example)


ENDINGS: dict[str, tuple[dict[str, Any], tuple[str, ...], int]] = {
    "good": ({}, (), 0),
    "offline": ({}, ("--offline",), 0),
    "wrong configuration": ({"pol": {}}, (), 2),
    "wrong configuration, offline": ({"pol": {}}, ("--offline",), 2),
    "no such partner": ({}, ("--partner=nobody",), 2),
    "no such file": ({}, ("--config.file=nowhere.yaml",), 2),
    "wrong web configuration": ({}, ("--web.config.file=nowhere.yml",), 2),
    "no state directory": ({"state_dir": "client-secret"}, (), 1),
    "sign-in refused": ({"partner": {"client_secret_file": None, "client_secret": "other"}}, (), 1),
    "no token": ({"refresh_token": None}, (), 1),
}


@pytest.mark.parametrize(("keys", "flags", "status"), ENDINGS.values(), ids=ENDINGS)
def test_json_is_one_document_in_every_ending(
    check: Run, simulator: Simulator, tmp_path: Path, keys: dict[str, Any], flags: tuple[str, ...], status: int
) -> None:
    document = document_of(check(write_config(tmp_path, simulator, **keys), "--json", *flags))
    assert document["status"] == status
    sign_ins = [partner["sign_in"] for partner in document["partners"]]
    failed = [sign_in for sign_in in sign_ins if sign_in["status"] == "failed"]
    assert bool(document["errors"] or failed) == (status != 0)
    for sign_in in failed:
        assert sign_in["reason"] == "auth"
        assert sign_in["remedy"]
    if status:
        sources = [source for partner in document["partners"] for source in partner["sources"]]
        assert {source["status"] for source in sources} <= {"skipped"}


def test_json_lists_every_mistake_with_its_file_line_and_path(check: Run, simulator: Simulator, tmp_path: Path) -> None:
    file = write_config(tmp_path, simulator, pol={})
    web = tmp_path / "web.yml"
    web.write_text("tls_server_config: {cert_file: none.pem, key_file: none.pem}\nheaders: {}\n")
    ended = check(file, "--json", "--offline", f"--web.config.file={web}")
    [in_file, *in_web] = document_of(ended)["errors"]
    number = file.read_text().splitlines().index("pol: {}") + 1
    wanted = {"file": str(file), "line": number, "path": "pol", "message": "unknown key: did you mean poll?"}
    assert in_file == wanted
    assert [(e["file"], e["line"], e["path"]) for e in in_web] == [
        (str(web), 1, "tls_server_config.cert_file"),
        (str(web), 1, "tls_server_config.key_file"),
        (str(web), 2, "headers"),
    ]


def test_json_is_whole_after_an_interruption(simulator: Simulator, tmp_path: Path) -> None:
    simulator.faults.add(Fault(kind="slow_first_byte", endpoint="usage", seconds=PATIENCE_SECONDS))
    file = write_config(tmp_path, simulator)
    command = [sys.executable, "-m", "exporter", "check", "--json", f"--config.file={file}"]
    with subprocess.Popen(  # noqa: S603  our own program
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(NO_AUTHORITIES), text=True
    ) as process:
        until(lambda: simulator.requests.count("usage") == 1)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    document = document_of(Ended(process.returncode, stdout, stderr))
    assert (document["status"], document["errors"][0]["message"]) == (1, "interrupted")
    assert document["partners"][0]["sign_in"]["status"] == "ok"


@pytest.mark.parametrize("command", ["check", "run", "config.check"])
def test_both_configuration_files_are_checked_at_once_as_run_does(
    run_here: Run, simulator: Simulator, tmp_path: Path, command: str
) -> None:
    file = write_config(tmp_path, simulator, pol={})
    web = tmp_path / "web.yml"
    web.write_text("basic_auth_users: {me: secret}\n")
    words = {"check": ["check", "--offline"], "run": ["run"], "config.check": ["--config.check"]}[command]
    ended = run_here(*words, f"--config.file={file}", f"--web.config.file={web}")
    assert ended.status == 2
    first, second = ended.stderr.splitlines()
    assert first.endswith("pol: unknown key: did you mean poll?")
    assert second.startswith(f"{web}:1: basic_auth_users.me: not a bcrypt hash")


def test_a_good_web_configuration_is_said_to_be_valid(check: Run, simulator: Simulator, tmp_path: Path) -> None:
    file, web = write_config(tmp_path, simulator), tmp_path / "web.yml"
    web.write_text("{}\n")
    ended = check(file, "--offline", f"--web.config.file={web}")
    assert (ended.status, ended.stdout.splitlines()[-1]) == (0, f"{web}: web configuration is valid")


def test_warnings_are_printed_and_stop_nothing(check: Run, simulator: Simulator, tmp_path: Path) -> None:
    file = write_config(tmp_path, simulator)
    (tmp_path / "client-secret").write_text(f"CLIENT_SECRET={simulator.client_secret}\n")
    number = next(n for n, line in enumerate(file.read_text().splitlines(), 1) if "client_secret_file" in line)
    ended = check(file, "--offline")
    assert ended.status == 0
    [warning] = ended.stderr.splitlines()
    assert warning.startswith(f"{file}:{number}: warning: partners[0].client_secret_file: what is in ")
    assert "KEY=value" in warning
    assert simulator.client_secret not in warning


def test_a_wrong_clock_is_said_once(run_here: Run, tmp_path: Path) -> None:
    with Simulator(now=lambda: time.time() + 7_200.0) as simulator:
        ended = run_here("check", f"--config.file={write_config(tmp_path, simulator)}")
    assert ended.status == 0
    assert ended.stdout.count("this machine's clock is 120 min behind: check its time synchronisation (NTP)") == 1
