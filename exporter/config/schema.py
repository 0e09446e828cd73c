"""The file's keys, with types and defaults. What one key can't know of another is in `checks`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from exporter.auth.credential import ClientCertificate, ClientSecret, Credential, FederatedToken
from exporter.config import keys
from exporter.config.clouds import Cloud
from exporter.config.sources import Sources
from exporter.redaction import Secret
from exporter.yaml_file.types import Duration, FilePath


class Partner(keys.Keys):
    """One partner tenant."""

    name: keys.Name
    cloud: Cloud = "global"
    tenant_id: keys.Tenant
    client_id: keys.Identifier
    client_secret: keys.SecretText | None = Field(default=None, repr=False)
    client_secret_file: FilePath | None = None
    client_secret_expires: keys.Date | None = None
    client_certificate_file: FilePath | None = None
    client_certificate_key_file: FilePath | None = None
    client_certificate_password_file: FilePath | None = None
    federated_token_file: FilePath | None = None
    refresh_token_file: FilePath | None = None
    authority: keys.Authority | None = None
    api_url: keys.HttpsUrl | None = None
    scope: keys.HttpsUrl | None = None
    sources: Sources = Sources()

    @property
    def credential(self) -> Credential:
        """The client credential."""
        if self.client_certificate_file:
            return ClientCertificate(
                certificate_file=self.client_certificate_file,
                key_file=self.client_certificate_key_file,
                password_file=self.client_certificate_password_file,
            )
        if self.federated_token_file:
            return FederatedToken(self.federated_token_file)
        secret = Secret(self.client_secret) if self.client_secret else None
        return ClientSecret(value=secret, file=self.client_secret_file, expires_at=self.client_secret_expires)


class Poll(keys.Keys):
    """What applies to every poll."""

    interval: keys.Interval = 3_600.0
    timeout: keys.Timeout = 30.0
    max_staleness: Duration = 72 * 3_600.0
    max_series: Annotated[int, Field(ge=1)] = 100_000


class TargetKeys(keys.Keys):
    """A minimum usage ratio, and the series it applies to."""

    ratio: keys.Ratio
    customer: keys.NonEmpty | None = None
    partner: keys.NonEmpty | None = None
    workload: keys.NonEmpty | None = None
    service: keys.NonEmpty | None = None
    channel: keys.NonEmpty | None = None


class Http(keys.Keys):
    """How the upstream is reached."""

    ca_file: FilePath | None = None
    proxy_url: keys.ProxyUrl | None = None


class ConfigFile(keys.Keys):
    """The whole file."""

    partners: Annotated[list[Partner], Field(min_length=1)]
    sources: Sources = Sources()
    poll: Poll = Poll()
    targets: list[TargetKeys] = Field(default_factory=list)
    http: Http = Http()
    state_dir: FilePath = Path("/var/lib/partnercenter-exporter")
