"""Reading config.yaml: parse, check, and build the frozen `Config`."""

import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from exporter.auth.entra import Registration
from exporter.config.checks import Checks
from exporter.config.clouds import file_hosts, urls
from exporter.config.model import Config, PartnerConfig, SharedConfig
from exporter.config.schema import ConfigFile, Partner
from exporter.errors import ConfigurationError, Problem
from exporter.local_text import local_text
from exporter.logs import get_logger
from exporter.messages import line
from exporter.metrics.targets import Target
from exporter.model.status import Identity
from exporter.permissions import User, narrowed
from exporter.redaction import Secret
from exporter.yaml_file.document import parse
from exporter.yaml_file.validation import read_text, read_text_again, validate

_FLAG = "--config.file"


def load(file: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read and check the file, and log its warnings; raises ConfigurationError with every mistake in it."""
    return _with_warnings_logged(_load(read_text(file, _FLAG), file, environment, Checks.run), file)


def load_again(file: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Do the same while the exporter runs: nothing is waited for, so what is no regular file is a mistake."""
    return _with_warnings_logged(_load(read_text_again(file, _FLAG), file, environment, Checks.run), file)


def load_to_check(file: Path) -> Config:
    """Read and check the file; whoever checks shows the warnings."""
    return _load(read_text(file, _FLAG), file, None, Checks.run)


def load_offline(file: Path) -> Config:
    """Do the same, and look at state_dir too; whoever checks need not be allowed to write there."""
    return _load(read_text(file, _FLAG), file, None, Checks.run_offline)


def _with_warnings_logged(config: Config, file: Path) -> Config:
    for warning in config.warnings:
        get_logger().warning(
            "configuration doubtful",
            file=file,
            line=warning.line or None,
            key=local_text(warning.path),
            warning=local_text(warning.message),
        )
    return config


def _load(text: str, file: Path, environment: Mapping[str, str] | None, run: Callable[[Checks], None]) -> Config:
    document = parse(text, os.environ if environment is None else environment)
    # Not resolved: Kubernetes changes mounted files by swapping the link that leads to them.
    folder = file.absolute().parent
    config_file = validate(ConfigFile, document, folder)
    run(Checks(document, config_file or ConfigFile.valid_part(document.content, folder)))
    if document.problems or config_file is None:
        raise ConfigurationError(str(file), tuple(sorted(set(document.problems))))
    _warn_about_readable_secrets(file, text)
    return _config(config_file, tuple(sorted(set(document.warnings))))


def _warn_about_readable_secrets(file: Path, text: str) -> None:
    """Log a warning if every user can read a secret that is written in the file."""
    with suppress(OSError):
        status = file.stat()
        if status.st_mode & stat.S_IROTH and (secrets := _written_secrets(text)):
            get_logger().warning(
                "configuration file with a secret is world-readable",
                file=file,
                keys=local_text(" ".join(secrets)),
                remedy=line(
                    "{}; or move the secret to a file or an environment variable: client_secret_file, or ${{NAME}}",
                    narrowed(file, status, User.current()),
                ),
            )


def _written_secrets(text: str) -> list[str]:
    """Return the keys of a valid file whose secret is written there, and does not come from a variable."""
    # Every variable is empty here: what is left is in the file.
    content = parse(text, {}).content
    secrets = [f"partners[{n}].client_secret" for n, p in enumerate(content["partners"]) if p.get("client_secret")]
    with suppress(ValueError):  # without its variables it may be no URL
        if urlsplit((content.get("http") or {}).get("proxy_url") or "").password:
            secrets.append("http.proxy_url")
    return secrets


def _config(file: ConfigFile, warnings: tuple[Problem, ...]) -> Config:
    return Config(
        partners=tuple(_partner(file, partner) for partner in file.partners),
        shared=SharedConfig(
            timeout_seconds=file.poll.timeout,
            max_staleness_seconds=file.poll.max_staleness,
            ca_file=file.http.ca_file,
            proxy_url=Secret(file.http.proxy_url) if file.http.proxy_url else None,
        ),
        targets=tuple(Target(**target.model_dump()) for target in file.targets),
        state_dir=file.state_dir,
        warnings=warnings,
    )


def _partner(file: ConfigFile, partner: Partner) -> PartnerConfig:
    login_url, api_url = urls(partner.cloud)
    return PartnerConfig(
        name=local_text(partner.name),
        registration=Registration(
            partner=local_text(partner.name),
            identity=Identity(partner.cloud, partner.tenant_id, partner.client_id),
            authority=local_text(partner.authority or f"{login_url}/{partner.tenant_id}"),
            scope=partner.scope or f"{api_url}/user_impersonation",
        ),
        credential=partner.credential,
        refresh_token_file=partner.refresh_token_file,
        api_url=local_text(partner.api_url or api_url),
        sources=partner.sources.enabled(
            file.sources,
            interval_seconds=file.poll.interval,
            max_series=file.poll.max_series,
            file_hosts=(file_hosts(partner.cloud),),
        ),
    )
