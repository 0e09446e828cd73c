"""Reading config.yaml: parse, check, and build the frozen `Config`."""

import os
from collections.abc import Mapping
from pathlib import Path

from exporter.auth.credential import ClientCertificate, ClientSecret, Credential, FederatedToken, SecretSource
from exporter.auth.entra import Registration
from exporter.config import checks
from exporter.config.model import Config, HttpConfig, PartnerConfig, PollConfig, SourceConfig
from exporter.config.schema import ConfigFile, Partner, Sources
from exporter.errors import ConfigurationError
from exporter.metrics.targets import Target
from exporter.model import Identity
from exporter.redaction import Secret
from exporter.yaml_file.document import parse
from exporter.yaml_file.validation import read_text, validate

# Hosts: learn.microsoft.com/entra/identity-platform/authentication-national-cloud and
# learn.microsoft.com/partner-center/developer/partner-center-rest-urls.
_CLOUDS = {
    "global": ("https://login.microsoftonline.com", "https://api.partnercenter.microsoft.com"),
    "usgov": ("https://login.microsoftonline.us", "https://api.partnercenter.microsoft.com"),
    "china": (
        "https://login.partner.microsoftonline.cn",
        "https://partner.partnercenterapi.microsoftonline.cn",
    ),
}


def load(file: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read and check the file; raises ConfigurationError with every mistake in it."""
    text = read_text(file, "--config.file")
    document = parse(text, os.environ if environment is None else environment)
    # Not resolved: Kubernetes changes mounted files by swapping the link that leads to them.
    folder = file.absolute().parent
    config_file = validate(ConfigFile, document, folder)
    checks.check_document(document)
    checks.check_parts(document, folder)
    if document.problems or config_file is None:
        raise ConfigurationError(str(file), tuple(sorted(set(document.problems))))
    return _build(config_file)


def _build(file: ConfigFile) -> Config:
    return Config(
        partners=tuple(_partner(file, partner) for partner in file.partners),
        poll=PollConfig(file.poll.timeout, file.poll.max_staleness, file.poll.max_series),
        targets=tuple(Target(**target.model_dump()) for target in file.targets),
        http=HttpConfig(file.http.ca_file, Secret(file.http.proxy_url) if file.http.proxy_url else None),
        state_dir=file.state_dir,
    )


def _partner(file: ConfigFile, partner: Partner) -> PartnerConfig:
    login, api_url = _CLOUDS[partner.cloud]
    return PartnerConfig(
        name=partner.name,
        registration=Registration(
            partner=partner.name,
            identity=Identity(partner.cloud, partner.tenant_id, partner.client_id),
            authority=partner.authority or f"{login}/{partner.tenant_id}",
            scope=partner.scope or f"{api_url}/user_impersonation",
        ),
        credential=_credential(partner),
        refresh_token_file=partner.refresh_token_file,
        api_url=partner.api_url or api_url,
        sources=tuple(_sources(file, partner.sources)),
    )


def _sources(file: ConfigFile, own: Sources) -> list[SourceConfig]:
    sources = []
    for name in Sources.model_fields:
        enabled, interval, api, detail, words, path = (
            checks.merged(own, file.sources, name, key)
            for key in ("enabled", "interval", "api", "detail", "filter", "path")
        )
        if enabled is False:
            continue
        seconds = interval or file.poll.interval
        if api == "commercial":
            sources.append(SourceConfig(name, api, seconds, tuple(detail or ()), words or "", path or ""))
        else:
            sources.append(SourceConfig(name, "legacy", seconds))
    return sources


def _credential(partner: Partner) -> Credential:
    if partner.client_certificate_file:
        password = partner.client_certificate_password_file
        return ClientCertificate(
            partner.client_certificate_file,
            partner.client_certificate_key_file,
            SecretSource(file=password) if password else None,
        )
    if partner.federated_token_file:
        return FederatedToken(partner.federated_token_file)
    source = SecretSource(value=partner.client_secret, file=partner.client_secret_file)
    return ClientSecret(source, partner.client_secret_expires)
