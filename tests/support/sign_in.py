"""The real sign-in components, wired to a running simulator."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from exporter.auth.authenticator import Authenticator
from exporter.auth.credential import ClientSecret, Credential
from exporter.auth.entra import EntraApplication, Registration
from exporter.auth.msal_http import MsalHttp
from exporter.auth.refresh_tokens import RefreshTokens
from exporter.auth.sign_in_record import SignInRecords
from exporter.auth.token_store import TokenRecord, TokenStore
from exporter.clock import Clock
from exporter.files import StateDirectory
from exporter.local_text import local_text
from exporter.logs import get_logger
from exporter.model.status import Identity
from exporter.redaction import Redactor, Secret
from exporter.upstream.transport import HttpReply, HttpTransport
from partnercenter_simulator import Simulator
from tests.support.config import PARTNER
from tests.support.process import PATIENCE_SECONDS


@dataclass(frozen=True, eq=False)
class WatchedTransport(HttpTransport):
    """The real transport; `watchers` are called with method and URL before each request goes out."""

    watchers: list[Callable[[str, str], None]] = field(default_factory=list)

    def send(
        self,
        method: str,
        url: httpx.URL | str,
        *,
        headers: Mapping[str, str],
        max_bytes: int,
        redactor: Redactor,
        content: bytes | None = None,
    ) -> HttpReply:
        """Notify the watchers, then send."""
        for watcher in self.watchers:
            watcher(method, str(url))
        return super().send(method, url, headers=headers, max_bytes=max_bytes, redactor=redactor, content=content)


class SignInKit:
    """Builds applications, stores and authenticators of one partner; state is kept in `folder`/state.

    `close` it at the end. Two kits on one folder are two programs on one state directory.
    """

    def __init__(
        self,
        simulator: Simulator,
        folder: Path,
        *,
        clock: Clock | None = None,
        timeout_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.simulator = simulator
        self.folder = folder
        self.clock = clock or Clock()
        self.seed_file = folder / "refresh-token"
        self.directory = StateDirectory(folder / "state")
        ca_file = folder / "ca.pem"
        ca_file.write_bytes(simulator.ca_pem)
        self.transport = WatchedTransport.open(clock=self.clock, timeout_seconds=timeout_seconds, ca_file=ca_file)

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()

    @property
    def identity(self) -> Identity:
        """The application registered in the simulator."""
        return Identity("global", self.simulator.tenant_id, self.simulator.client_id)

    def registration(self, *, identity: Identity | None = None, authority: str = "") -> Registration:
        """Return the simulator's application, or one that differs from it."""
        return Registration(
            partner=local_text(PARTNER),
            identity=identity or self.identity,
            authority=local_text(authority or self.simulator.authority),
            scope=f"{self.simulator.base_url}/user_impersonation",
        )

    def entra(
        self, credential: Credential | None = None, *, identity: Identity | None = None, authority: str = ""
    ) -> EntraApplication:
        """Return the application with a credential: by default the registered client secret."""
        secret = ClientSecret(value=Secret(self.simulator.client_secret))
        registration = self.registration(identity=identity, authority=authority)
        return EntraApplication(
            registration, credential or secret, MsalHttp(self.transport, partner=registration.partner)
        )

    def store(self) -> TokenStore:
        """Return the partner's token store."""
        return TokenStore(self.directory, self.registration())

    def put(
        self,
        refresh_token: str,
        *,
        identity: Identity | None = None,
        issued_at: float | None = None,
        seed_digest: str | None = None,
    ) -> TokenRecord:
        """Store a token as another process would; return its record."""
        record = TokenRecord(
            identity=identity or self.identity,
            refresh_token=refresh_token,
            issued_at=issued_at,
            seed_digest=seed_digest,
        )
        TokenStore(StateDirectory(self.directory.root), self.registration()).overwrite(record)
        return record

    def write_seed(self, refresh_token: str, *, end: str = "\n") -> None:
        """Write the seed file."""
        self.seed_file.write_text(refresh_token + end)

    def authenticator(
        self, *, entra: EntraApplication | None = None, store: TokenStore | None = None, seeded: bool = True
    ) -> Authenticator:
        """Return an authenticator; with `seeded` it reads the seed file."""
        log = get_logger(partner=local_text(PARTNER))
        tokens = RefreshTokens(store or self.store(), seed_file=self.seed_file if seeded else None, log=log)
        records = SignInRecords(self.directory, self.registration(), log)
        return Authenticator(entra or self.entra(), tokens, records=records, clock=self.clock, log=log)
