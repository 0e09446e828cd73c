"""No secret appears anywhere but in the token file, whatever the upstream echoes."""

import base64
import html
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, quote_plus, urlsplit

import httpx
import pytest
import trustme
import yaml

from partnercenter_simulator import Fault, Simulator
from tests.e2e.conftest import NO_AUTHORITIES, Run
from tests.support.cases import combinations
from tests.support.certificates import ClientIdentity
from tests.support.config import token_file, write_config, write_secret
from tests.support.plain_http import NO_TLS
from tests.support.process import PATIENCE_SECONDS, ExporterProcess, run_command, until
from tests.support.proxy import closed_port, refusing_proxy

# Neither long nor plain: it doesn't look like a token, so it is redacted only because it is known.
CLIENT_SECRET = "sh0rt/S3cret+of&ours"
REFRESH_TOKEN = "1.AX0A" + "seedSEED42_-" * 12
NEXT_REFRESH_TOKEN = "1.AX0A" + "nextNEXT17_-" * 12
ACCESS_TOKEN = "eyJ0eXAiOiJKV1QifQ." + "bearerBEARER99_-" * 12 + ".signature"
DEBUG = "--log.level=debug"


def seen(secret: str) -> Iterator[str]:
    """Yield every encoding and every longer part of a secret, none of which may appear."""
    encoded = base64.b64encode(secret.encode()).decode()
    for spelling in (secret, quote_plus(secret), html.escape(secret), encoded):
        for start in range(max(len(spelling) - 11, 1)):
            yield spelling[start : start + 12]


def assert_unseen(texts: dict[str, str], secrets: Iterable[str]) -> None:
    parts = {part for secret in secrets for part in seen(secret)}
    leaks = {(place, part) for place, text in texts.items() for part in parts if part in text}
    assert not leaks
    # Tokens that the test doesn't know: Entra ID's start like this, and so do JSON Web Tokens and keys.
    for place, text in texts.items():
        assert not re.search(r"1\.AX0A|eyJ[A-Za-z0-9_-]{8}|PRIVATE KEY", text), place


def state_files(folder: Path) -> dict[str, str]:
    """Return the content of the state directory except the token files, and all file names in it."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    texts = {str(f): f.read_text() for f in files if not (f.parent.name == "tokens" and f.suffix == ".json")}
    return {**texts, "names": "\n".join(map(str, folder.rglob("*")))}


def everything(process: ExporterProcess, folder: Path) -> dict[str, str]:
    """Return every page, log line and state file of a running exporter, which is stopped."""
    pages = {path: process.get(path).text for path in ("/", "/metrics", "/-/ready", "/-/healthy")}
    pages["reload"] = httpx.post(
        f"{process.url}/-/reload", trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS
    ).text
    assert process.stop() == 0
    return {**pages, "stdout": process.stdout, "stderr": process.stderr, **state_files(folder / "state")}


def run(file: Path, **env: str) -> ExporterProcess:
    return ExporterProcess.running(file, DEBUG, "--web.enable-lifecycle", env={**NO_AUTHORITIES, **env})


Command = Callable[..., dict[str, str]]


@pytest.fixture
def command(run_here: Run) -> Command:
    """Return a function that runs a command to completion, in this process, and returns its output."""

    def call(*arguments: str) -> dict[str, str]:
        ended = run_here(*arguments, DEBUG)
        assert ended.stdout + ended.stderr
        return {f"{arguments[0]} stdout": ended.stdout, f"{arguments[0]} stderr": ended.stderr}

    return call


@dataclass(frozen=True)
class Reply:
    """One response of the echo server."""

    status: int
    body: str
    content_type: str = "application/json"
    reason: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


Answer = Callable[[str], Reply]


def fault(status: int) -> Answer:
    return lambda sent: Reply(status, json.dumps({"code": "1", "description": f"You sent {sent}"}))


def page(status: int) -> Answer:
    return lambda sent: Reply(status, f"<html><p>{html.escape(sent)} {sent}</p></html>", "text/html")


def refusal(error: str, code: int, **more: str) -> Answer:
    def answer(sent: str) -> Reply:
        words = {"error": error, "error_description": f"AADSTS{code}: Refused: {sent}", **more}
        document = {name: value.replace("{sent}", sent) for name, value in words.items()}
        return Reply(400, json.dumps({**document, "error_codes": [code]}))

    return answer


def granted(_sent: str) -> Reply:
    document = {"access_token": ACCESS_TOKEN, "refresh_token": NEXT_REFRESH_TOKEN, "expires_in": 3600}
    return Reply(200, json.dumps(document))


API: dict[str, Answer] = {
    **{f"fault-{status}": fault(status) for status in (400, 401, 403, 404, 410, 429, 500, 503)},
    **{f"page-{status}": page(status) for status in (200, 401, 403, 500)},
    "mfa": lambda sent: Reply(401, json.dumps({"code": "900421", "description": f"MFA: {sent}"})),
    "audience": lambda sent: Reply(401, json.dumps({"code": "900420", "description": sent})),
    "code": lambda sent: Reply(400, json.dumps({"code": sent, "description": "x"})),
    "gateway": lambda sent: Reply(429, json.dumps({"statusCode": 429, "message": f"Slow down, {sent}"})),
    "challenge": lambda sent: Reply(401, "", headers=(("WWW-Authenticate", f"Bearer {sent}"),)),
    "redirect": lambda sent: Reply(302, "", headers=(("Location", f"https://127.0.0.1:1/{sent}"),)),
    "reason": lambda sent: Reply(500, "", reason=f"Failed for {sent}"),
    "text": lambda sent: Reply(200, f"{sent} is fine", "text/plain"),
    "rows": lambda sent: Reply(200, json.dumps({"items": [{"serviceName": sent}, sent, {"channel": [sent]}]})),
    "after": lambda sent: Reply(503, "", headers=(("Retry-After", sent),)),
}
TOKEN: dict[str, Answer] = {
    "grant": refusal("invalid_grant", 50173),
    "client": refusal("invalid_client", 7000215),
    "second-factor": refusal("interaction_required", 50076),
    "word": refusal("{sent}", 7),
    "correlation": refusal("invalid_grant", 50173, correlation_id="{sent}"),
    "busy": refusal("temporarily_unavailable", 90033),
    **{f"token-page-{status}": page(status) for status in (200, 400, 403, 500)},
    "token-redirect": lambda sent: Reply(307, "", headers=(("Location", f"https://127.0.0.1:1/?{sent}"),)),
    "odd": lambda sent: Reply(200, json.dumps({"message": sent})),
    "odd-token": lambda sent: Reply(200, json.dumps({"access_token": [sent], "id_token": sent})),
    "list": lambda sent: Reply(200, json.dumps([sent])),
}


class Echo(BaseHTTPRequestHandler):
    """A login host and an API that echo what was sent; the first path segment selects how."""

    def do_GET(self) -> None:
        """Respond as the authority's metadata endpoint, or as the API."""
        name = self.path.split("/")[1]
        if self.path.endswith("openid-configuration"):
            root = f"https://{self.headers['Host']}/{name}"
            metadata = {f"{kind}_endpoint": f"{root}/{kind}" for kind in ("token", "authorization")}
            self._send(Reply(200, json.dumps(metadata)))
        else:
            self._send(API[name](self.headers["Authorization"].removeprefix("Bearer ")))

    def do_POST(self) -> None:
        """Respond as the token endpoint."""
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        bare = " ".join(f"{name} {value}" for name, value in parse_qsl(sent) if "secret" in name or "token" in name)
        answer = TOKEN.get(self.path.split("/")[1], granted)
        self._send(answer(f"{bare} {sent}"))

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status, reply.reason)
        for name, value in (
            ("Content-Type", reply.content_type),
            ("Content-Length", str(len(reply.body.encode()))),
            # Longer than a poll waits, so that nothing is retried.
            *(reply.headers or (("Retry-After", "3600"),)),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body.encode())


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[str]:
    """The echo server's URL; its CA is in ca.pem."""
    authority = trustme.CA()
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"https://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def echoed(echo: str, tmp_path: Path) -> Path:
    """A configuration with a partner for each way in which an upstream can echo what it was sent."""
    write_secret(tmp_path / "client-secret", CLIENT_SECRET)
    write_secret(tmp_path / "refresh-token", REFRESH_TOKEN)
    partners = [
        {
            "name": name,
            "tenant_id": "t",
            "client_id": "c",
            "client_secret_file": "client-secret",
            "refresh_token_file": "refresh-token",
            "authority": f"{echo}/{name}",
            "api_url": f"{echo}/{name}",
        }
        for name in (*API, *TOKEN)
    ]
    content = {
        "partners": partners,
        "sources": {"deployment": {"enabled": False}},
        "http": {"ca_file": "ca.pem"},
        "state_dir": "state",
    }
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


WITHHELD = "[withheld: it repeats a secret]"
SECRETS = (CLIENT_SECRET, REFRESH_TOKEN, NEXT_REFRESH_TOKEN, ACCESS_TOKEN)


def test_secrets_that_an_upstream_repeats_are_not_shown(echoed: Path, tmp_path: Path) -> None:
    with run(echoed) as process:
        until(lambda: process.get("/-/ready").status_code == httpx.codes.OK)
        texts = everything(process, tmp_path)
    for name in (*API, *TOKEN):
        assert f'partnercenter_up{{partner="{name}",source="usage"}} 0.0' in texts["/metrics"]
        assert f"partner={name} " in texts["stderr"]
    assert texts["reload"] == "reloaded\n"
    assert WITHHELD in texts["/"]
    assert WITHHELD in texts["stderr"]
    assert_unseen(texts, SECRETS)
    # Control: they are where they belong.
    assert NEXT_REFRESH_TOKEN in token_file(echoed, "mfa").read_text()


def test_check_shows_no_secret_that_an_upstream_repeats(command: Command, echoed: Path) -> None:
    texts = command("check", f"--config.file={echoed}")
    assert texts["check stdout"].count("FAILED") == len(API) + len(TOKEN)
    assert WITHHELD in texts["check stdout"]
    assert_unseen(texts, SECRETS)


@pytest.mark.parametrize("partner", ["grant", "client", "token-page-400"])
def test_login_shows_no_secret_that_an_upstream_repeats(command: Command, echoed: Path, partner: str) -> None:
    given = echoed.parent / "refresh-token"
    texts = command("login", f"--config.file={echoed}", f"--partner={partner}", f"--import-refresh-token={given}")
    assert texts["login stderr"]
    assert_unseen(texts, SECRETS)


def known_secrets(simulator: Simulator) -> list[str]:
    return [simulator.client_secret, *simulator.entra.issued_refresh_tokens]


def test_a_good_sign_in_shows_no_secret(command: Command, simulator: Simulator, tmp_path: Path) -> None:
    file = write_config(tmp_path, simulator)
    texts = command("check", f"--config.file={file}")
    given = tmp_path / "given"
    write_secret(given, simulator.entra.issue_refresh_token())
    texts |= command("login", f"--config.file={file}", f"--import-refresh-token={given}")
    with run(file) as process:
        process.wait_for_sample('partnercenter_up{partner="contoso",source="usage"} 1.0')
        process.wait_for_sample('partnercenter_up{partner="contoso",source="deployment"} 1.0')
        texts |= everything(process, tmp_path)
    assert simulator.entra.issued_refresh_tokens[-1] in token_file(file).read_text()
    assert_unseen(texts, known_secrets(simulator))


FAULTS = [
    Fault(kind="html", endpoint="token"),
    Fault(kind="truncated", endpoint="token"),
    Fault(kind="token_without_access_token", endpoint="token"),
    Fault(kind="truncated_json", endpoint="token"),
    Fault(kind="entra_error", endpoint="token", code=50076),
    Fault(kind="entra_error", endpoint="discovery", code=90002),
    Fault(kind="mfa_required", endpoint="usage"),
    Fault(kind="wrong_charset", endpoint="usage"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.endpoint} {fault.kind}")
def test_a_failing_check_shows_no_secret(command: Command, simulator: Simulator, tmp_path: Path, fault: Fault) -> None:
    simulator.faults.add(fault)
    file = write_config(tmp_path, simulator, sources={"deployment": {"enabled": False}})
    texts = command("check", f"--config.file={file}")
    assert_unseen(texts | state_files(tmp_path / "state"), known_secrets(simulator))


@pytest.mark.parametrize(
    ("command", "proxy"),
    combinations(
        ["run", "check", "login", "backfill"],
        ["http://exporter:pr0xy-p4ssw0rd@host:port", "socks5://exporter:pr0xy-p4ssw0rd@host"],
    ),
)
def test_an_unusable_proxy_in_the_environment_is_one_error_without_its_password(
    simulator: Simulator, tmp_path: Path, command: str, proxy: str
) -> None:
    file = write_config(tmp_path, simulator, sources={"usage": {"api": "commercial"}})
    flags = {
        "run": ["--web.listen-address=127.0.0.1:0"],
        "backfill": ["--from=2026-01-01", "--to=2026-01-01", f"--output={tmp_path / 'past'}"],
    }
    arguments = (command, f"--config.file={file}", *flags.get(command, []))
    ended = run_command(*arguments, env={**NO_AUTHORITIES, "HTTPS_PROXY": proxy})
    assert ended.returncode == 2
    assert ended.stderr.startswith("environment: HTTPS_PROXY: use http://host:port")
    assert ended.stderr.count("\n") == 1
    assert "pr0xy" not in ended.stdout + ended.stderr
    assert "p4ssw0rd" not in ended.stdout + ended.stderr


def test_a_wrong_secret_from_the_environment_is_not_shown(simulator: Simulator, tmp_path: Path) -> None:
    keys = {"client_secret": "${CLIENT_SECRET}", "client_secret_file": None}
    file = write_config(tmp_path, simulator, partner=keys)
    with run(file, CLIENT_SECRET=CLIENT_SECRET) as process:
        process.wait_for_sample('partnercenter_auth_up{partner="contoso"} 0.0')
        texts = everything(process, tmp_path)
    assert "AADSTS7000215" in texts["stderr"]
    assert_unseen(texts, [CLIENT_SECRET, *known_secrets(simulator)])


@pytest.mark.parametrize("registered", [True, False])
def test_neither_a_certificates_key_nor_its_assertions_are_shown(
    command: Command, simulator: Simulator, tmp_path: Path, *, registered: bool
) -> None:
    identity = ClientIdentity.new()
    if registered:
        simulator.entra.register_certificate(identity.certificate_pem)
    (tmp_path / "certificate").write_bytes(identity.pfx("p4ss phrase of it"))
    write_secret(tmp_path / "password", "p4ss phrase of it")
    keys = {
        "client_secret_file": None,
        "client_certificate_file": "certificate",
        "client_certificate_password_file": "password",
    }
    file = write_config(tmp_path, simulator, partner=keys)
    texts = command("check", f"--config.file={file}")
    assert ("AADSTS700027" in texts["check stdout"]) is not registered
    assert_unseen(texts, ["p4ss phrase of it", *known_secrets(simulator)])


def test_a_proxys_password_is_not_shown(command: Command, simulator: Simulator, tmp_path: Path) -> None:
    texts: dict[str, str] = {}
    with refusing_proxy() as refusing, closed_port() as closed:
        for proxy in (f"127.0.0.1:{closed}", refusing.removeprefix("http://")):
            http = {"ca_file": "ca.pem", "proxy_url": f"http://exporter:pr0xy-p4ssw0rd@{proxy}"}
            file = write_config(tmp_path, simulator, http=http)
            checked = command("check", f"--config.file={file}")
            assert "FAILED (network)" in checked["check stdout"]
            texts |= {f"{proxy}: {place}": text for place, text in checked.items()}
        with run(file) as process:
            process.wait_for_output("request failed, retrying")
            process.get("/")
            texts |= everything(process, tmp_path)
    assert_unseen(texts, ["pr0xy-p4ssw0rd", "exporter:pr0xy-p4ssw0rd", *known_secrets(simulator)])


@pytest.mark.parametrize(
    "keys",
    [
        {"client_secret": [CLIENT_SECRET]},
        {"client_secret": {"value": CLIENT_SECRET}},
        {"client_secret": CLIENT_SECRET, "client_certificate_file": "none"},
        {"client_secret": CLIENT_SECRET, "client_secret_expires": "never"},
        {"client_secrets": CLIENT_SECRET},
        {"tenant_id": "a b", "client_secret": CLIENT_SECRET},
    ],
)
def test_a_mistake_in_the_configuration_does_not_show_the_secret_beside_it(
    run_here: Run, simulator: Simulator, tmp_path: Path, keys: dict[str, object]
) -> None:
    proxy = {"proxy_url": "ftp://exporter:pr0xy-p4ssw0rd@127.0.0.1"}
    file = write_config(tmp_path, simulator, partner={"client_secret_file": None, **keys}, http=proxy)
    ended = run_here("check", f"--config.file={file}", "--offline", DEBUG)
    assert ended.status == 2
    assert "proxy_url" in ended.stderr
    assert_unseen(
        {"stdout": ended.stdout, "stderr": ended.stderr}, [CLIENT_SECRET, "pr0xy-p4ssw0rd", *known_secrets(simulator)]
    )


@pytest.mark.parametrize("code", [0, 54005])
def test_an_interactive_login_shows_neither_code_nor_tokens(simulator: Simulator, tmp_path: Path, code: int) -> None:
    if code:
        simulator.faults.add(Fault(kind="entra_error", endpoint="token", code=code))
    file = write_config(tmp_path, simulator, refresh_token=None)
    flags = (f"--config.file={file}", "--redirect-port=0", DEBUG)
    with ExporterProcess("login", *flags, env=NO_AUTHORITIES) as process:
        process.wait_for_output("paste it here:")
        [address] = [line.strip() for line in process.stdout.splitlines() if "/authorize?" in line]
        trusted = ssl.create_default_context(cadata=simulator.ca_pem.decode())
        back = httpx.get(address, verify=trusted, trust_env=False).headers["location"]
        process.type("http://localhost/?code=1.AX0A-of-another&state=x")
        process.wait_for_output("That is not the URL")
        process.type(back)
        assert process.wait() == (1 if code else 0)
        texts = {"stdout": process.stdout, "stderr": process.stderr}
    given = dict(parse_qsl(urlsplit(back).query))["code"]
    assert_unseen(texts | state_files(tmp_path / "state"), [given, *known_secrets(simulator)])
    assert token_file(file).exists() is not bool(code)
