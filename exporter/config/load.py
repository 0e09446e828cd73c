"""Reading config.yaml: parse, check, and build the frozen `Config`."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from exporter.auth.credential import ClientCertificate, ClientSecret, Credential, FederatedToken, SecretSource
from exporter.auth.entra import Registration
from exporter.config import checks
from exporter.config.document import Document, parse
from exporter.config.model import Config, HttpConfig, PartnerConfig, PollConfig, SourceConfig
from exporter.config.schema import ConfigFile, Partner, Sources
from exporter.errors import ConfigurationError, Problem
from exporter.metrics.targets import Target
from exporter.model import Identity
from exporter.redaction import Secret

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
_LARGEST_FILE_BYTES = 4 * 1024 * 1024

_WORDS = {
    "missing": "this key is missing: add it",
    "list_type": "this must be a list: begin each entry with a dash",
    "model_type": "this must be a mapping of keys to values",
    "dict_type": "this must be a mapping of keys to values",
    "string_type": "this must be a text, and not empty",
    "bool_type": "this must be true or false",
    "bool_parsing": "this must be true or false",
    "int_parsing": "this must be a whole number",
    "int_type": "this must be a whole number",
    "int_parsing_size": "this number is too large",
    "float_parsing": "this must be a number",
    "float_type": "this must be a number",
    "too_short": "this must have at least one entry",
    "string_too_short": "this must not be empty",
    "finite_number": "this must be a finite number",
}


def load(file: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read and check the file; raises ConfigurationError with every mistake in it."""
    document = parse(_read(file), os.environ if environment is None else environment)
    folder = file.resolve().parent
    config_file = None if document.broken else _validate(document, folder)
    checks.check_document(document)
    checks.check_parts(document, folder)
    if document.problems or config_file is None:
        raise ConfigurationError(str(file), tuple(sorted(set(document.problems))))
    return _build(config_file)


def _read(file: Path) -> str:
    try:
        content = file.read_bytes()
        if len(content) > _LARGEST_FILE_BYTES:
            raise ConfigurationError(
                str(file), (Problem(0, "", "this file is too large for a configuration"),)
            )
        return content.decode("utf-8-sig")
    except OSError as error:
        message = f"can't read it: {error.strerror}; name the file with --config.file"
        raise ConfigurationError(str(file), (Problem(0, "", message),)) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(str(file), (Problem(0, "", "this is no UTF-8 text"),)) from error


def _validate(document: Document, folder: Path) -> ConfigFile | None:
    content = {} if document.content is None else checks.without_nulls(document.content)
    try:
        return ConfigFile.model_validate(content, context={"folder": folder})
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            path = tuple(detail["loc"])
            if path in document.unresolved:
                continue
            document.report(path, _explain(path, detail["type"], detail["msg"], detail.get("ctx", {})))
        return None


def _explain(path: tuple[str | int, ...], kind: str, message: str, context: dict[str, Any]) -> str:
    if kind == "extra_forbidden":
        return f"there is no such key{_suggestion(path)}"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    if kind == "literal_error":
        return f"this must be one of {context.get('expected', '')}"
    return _WORDS.get(kind, message[:1].lower() + message[1:])


def _suggestion(path: tuple[str | int, ...]) -> str:
    """Return the known keys at this place, the likeliest first."""
    model: type[BaseModel] | None = ConfigFile
    for part in path[:-1]:
        if isinstance(part, str) and model is not None:
            model = _model_of(model, part)
    if model is None:
        return ""
    keys = list(model.model_fields)
    close = difflib.get_close_matches(str(path[-1]), keys, n=1)
    return f": did you mean {close[0]}?" if close else f": known here are {', '.join(keys)}"


def _model_of(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    field = model.model_fields.get(key)
    if field is None:
        return None
    candidates = (field.annotation, *getattr(field.annotation, "__args__", ()))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


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
        enabled, interval, api = (
            checks.merged(own, file.sources, name, key) for key in ("enabled", "interval", "api")
        )
        if enabled is not False:
            sources.append(SourceConfig(name, api or "legacy", interval or file.poll.interval))
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
