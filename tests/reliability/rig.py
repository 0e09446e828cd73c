"""The whole exporter but for the HTTP sockets, on a clock that leaps, and what an operator sees of it."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from exporter.auth.entra import Registration
from exporter.auth.token_store import TokenRecord, TokenStore
from exporter.files import StateDirectory
from exporter.local_text import local_text
from exporter.model.status import Identity, PollStatus
from exporter.web import application as web
from exporter.web.toolkit.negotiation import OPENMETRICS, TEXT
from partnercenter_simulator import Simulator
from partnercenter_simulator.request_log import Request
from tests.integration.exposition import Exposition
from tests.support.application import InProcess, threads
from tests.support.config import PARTNER, Upstream, token_file

USAGE = {"partner": PARTNER, "source": "usage"}
DAY_SECONDS = 86_400.0
_INSIGHTS = ("insights_catalogue", "insights_try_query")


def add_partner(file: Path, simulator: Upstream, name: str = "fabrikam", *, certificate: bytes | None = None) -> None:
    """Add a partner of another simulator to config.yaml, with a client secret, or a certificate and its key as PEM."""
    folder = file.parent
    with (folder / "ca.pem").open("ab") as authorities:
        authorities.write(simulator.ca_pem)
    credential = {"client_secret_file": f"{name}-secret"}
    (folder / f"{name}-secret").write_text(simulator.client_secret)
    if certificate:
        credential = {"client_certificate_file": f"{name}.pem"}
        (folder / f"{name}.pem").write_bytes(certificate)
    (folder / f"{name}-token").write_text(simulator.entra.issue_refresh_token())
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    content["partners"].append(
        {
            "name": name,
            "tenant_id": simulator.tenant_id,
            "client_id": simulator.client_id,
            **credential,
            "refresh_token_file": f"{name}-token",
            "authority": simulator.authority,
            "api_url": simulator.base_url,
            "scope": f"{simulator.base_url}/user_impersonation",
        }
    )
    file.write_text(yaml.safe_dump(content))


def store_token(state: Path, simulator: Upstream, partner: str, *, at: float) -> None:
    """Store a new refresh token as `login` does."""
    identity = Identity("global", simulator.tenant_id, simulator.client_id)
    registration = Registration(
        partner=local_text(partner), identity=identity, authority=local_text(simulator.authority), scope=""
    )
    token = simulator.entra.issue_refresh_token()
    store = TokenStore(StateDirectory(state), registration)
    previous = store.load()
    digest = previous.seed_digest if previous else None
    store.overwrite(TokenRecord(identity=identity, refresh_token=token, issued_at=at, seed_digest=digest))


@dataclass(frozen=True)
class Seen:
    """What can be seen of one source at one moment."""

    scrape: Exposition
    status: PollStatus
    api_requests: int
    token_requests: int
    refresh_token: str | None  # as stored; None where the file can't be read
    record: dict[str, Any]  # the poll's state file
    fetched_at: float | None  # from the data's state file

    def value(self, name: str, **labels: str) -> float | None:
        """Return one sample of the source's partner."""
        return self.scrape.value(f"partnercenter_{name}", **labels)

    def of_source(self, name: str, **labels: str) -> float | None:
        """Return one sample of the source."""
        return self.value(name, **labels, partner=self.status.partner, source=self.status.source)


@dataclass
class Rig(InProcess):
    """The exporter against a simulator, and what an operator sees of it."""

    simulator: Simulator

    def settle(self) -> None:
        """Wait until no poll is under way."""
        self.run_until(lambda: all(_at_rest(status) for status in self.app.statuses()))

    def run_until(self, condition: Callable[[], bool], *, within_seconds: float = DAY_SECONDS) -> None:
        """Let time run from wait to wait until the condition holds."""
        self.clock.run_until(condition, threads, within_seconds=within_seconds)

    def pass_time(self, seconds: float) -> None:
        """Let time pass in one leap; polls that come due are finished."""
        self.clock.pass_time(seconds, threads)
        self.settle()

    def next_poll(self, source: str = "usage", *, within_seconds: float = DAY_SECONDS) -> None:
        """Let time run until the next poll of a source has ended; raise TimeoutError when none begins."""
        before = self.status(source).last_poll_at
        self.run_until(lambda: self.status(source).last_poll_at != before, within_seconds=within_seconds)
        self.settle()

    def see(self, source: str = "usage") -> Seen:
        """Look at everything that an operator can see."""
        state = self.file.parent / "state"
        name = f"{PARTNER}.{source}.json"
        data = _json(state / "data" / name)
        return Seen(
            scrape=Exposition(self.page("/metrics", accept=TEXT)),
            status=self.status(source),
            api_requests=len(self.requests(source)),
            token_requests=self.simulator.requests.count("token"),
            refresh_token=_json(token_file(self.file)).get("refresh_token"),
            record=_json(state / "polls" / name),
            fetched_at=data.get("fetched_at"),
        )

    def requests(self, source: str = "usage") -> tuple[Request, ...]:
        """Return the API's requests for a source; Partner Insights is asked for usage only."""
        endpoints = (source, *_INSIGHTS) if source == "usage" else (source,)
        return tuple(request for request in self.simulator.requests.of() if request.endpoint in endpoints)

    def page(self, path: str, *, accept: str = "*/*") -> str:
        """Return one page of the web side."""
        pages = web.Pages(
            state=self.app,
            snapshots=self.app.snapshots,
            metrics=self.metrics,
            telemetry_path="/metrics",
            lifecycle=False,
            clock=self.clock,
        ).application()
        transport = httpx.ASGITransport(pages)

        async def get() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
                return await client.get(path, headers={"Accept": accept})

        return asyncio.run(get()).text

    def openmetrics(self) -> Exposition:
        """Return /metrics as OpenMetrics."""
        return Exposition(self.page("/metrics", accept=OPENMETRICS), openmetrics=True)

    def reconfigure(self, *, partner: Mapping[str, Any] | None = None, **top: Any) -> None:
        """Change keys of the partner and of the top level in config.yaml, and reload."""
        self.change(partner=partner, **top)
        problem = self.app.reload()
        assert not problem, problem

    def sign_in_anew(self) -> None:
        """Store a new refresh token as `login` does."""
        store_token(self.file.parent / "state", self.simulator, PARTNER, at=self.clock.time())


def _at_rest(status: PollStatus) -> bool:
    """Return whether the newest poll has ended: only then is the next one set, a minute later at least."""
    return (
        status.last_poll_at is not None
        and status.next_poll_at is not None
        and status.next_poll_at > status.last_poll_at + 1
    )


def _json(file: Path) -> dict[str, Any]:
    """Return a file's JSON object; an empty one where it has none."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
