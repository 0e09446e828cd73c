"""Mistakes that show only between keys.

They are looked for in the raw document, so that one wrong key elsewhere doesn't hide them: pydantic skips
its own cross-checks then.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from exporter.auth import credential as auth
from exporter.config.schema import Poll, SourceKeys, Sources
from exporter.errors import AuthenticationError
from exporter.redaction import Secret
from exporter.yaml_file.document import Document
from exporter.yaml_file.types import file_path
from exporter.yaml_file.validation import without_nulls

_CREDENTIALS = ("client_secret", "client_secret_file", "client_certificate_file", "federated_token_file")
_CERTIFICATE_EXTRAS = ("client_certificate_key_file", "client_certificate_password_file")
_FILES = (
    "client_secret_file",
    "client_certificate_file",
    *_CERTIFICATE_EXTRAS,
    "federated_token_file",
)

COMMERCIAL_KEYS = ("detail", "filter", "path")

M = TypeVar("M", bound=BaseModel)
Location = tuple[str | int, ...]


def check_document(document: Document) -> None:
    """Look for names used twice, wrong sets of credentials, and targets that mean the same."""
    content = without_nulls(document.content)
    if not isinstance(content, dict):
        return
    names: dict[str, int] = {}
    for index, partner in _mappings(content.get("partners")):
        name = partner.get("name")
        if isinstance(name, str) and name:
            if name.lower() in names:
                first = names[name.lower()]
                document.report(
                    ("partners", index, "name"),
                    f"the name {name!r} is taken by partners[{first}] (whatever the case): choose another",
                )
            names.setdefault(name.lower(), index)
        _check_credentials(document, index, partner)
    _check_targets(document, content.get("targets"))


def _check_credentials(document: Document, index: int, partner: dict[str, Any]) -> None:
    given = [key for key in _CREDENTIALS if key in partner]
    path = ("partners", index)
    if not given:
        document.report(path, f"there is no client credential: give one of {', '.join(_CREDENTIALS)}")
    elif len(given) > 1:
        document.report(
            (*path, given[1]), f"there are several client credentials ({', '.join(given)}): keep one"
        )
    for key in _CERTIFICATE_EXTRAS:
        if key in partner and "client_certificate_file" not in partner:
            document.report(
                (*path, key), "this goes with client_certificate_file only: add that, or remove this"
            )
    if "client_secret_expires" in partner and not {"client_secret", "client_secret_file"} & partner.keys():
        document.report(
            (*path, "client_secret_expires"),
            "this goes with a client secret only; a certificate's end is read from it",
        )


def _check_targets(document: Document, targets: Any) -> None:
    seen: dict[tuple[Any, ...], int] = {}
    for index, target in _mappings(targets):
        selector = tuple(target.get(key) for key in ("partner", "workload", "service", "channel"))
        if not all(value is None or isinstance(value, str) for value in selector):
            continue
        if selector in seen:
            document.report(
                ("targets", index),
                f"this is for the same series as targets[{seen[selector]}]: keep one of them",
            )
        seen.setdefault(selector, index)


def check_parts(document: Document, folder: Path) -> None:
    """Look for durations that don't fit each other, sources that don't exist, and files that can't be read.

    Works on each part that is valid by itself, so that a mistake in one doesn't hide those in another.
    """
    content = document.content if isinstance(document.content, dict) else {}
    poll = _some_of(Poll, content.get("poll"), folder, "max_staleness")
    common = _sources(content.get("sources"), folder)
    _check_options(document, ("sources",), content.get("sources"), content.get("sources"))
    if both := _some_of(Poll, content.get("poll"), folder, "max_staleness", "interval"):
        _check_interval(document, ("poll", "interval"), both.interval, both.max_staleness)
    _check_sources(document, ("sources",), common, poll)
    for index, raw in _mappings(content.get("partners")):
        sources = _sources(raw.get("sources"), folder)
        _check_sources(document, ("partners", index, "sources"), sources, poll)
        place: Location = ("partners", index, "sources")
        _check_options(document, place, raw.get("sources"), raw.get("sources"), content.get("sources"))
        _check_enabled(document, ("partners", index), sources, common)
        _check_files(document, ("partners", index), raw, folder)
    http = content.get("http")
    if isinstance(http, dict) and (file := _file(document, ("http", "ca_file"), http.get("ca_file"), folder)):
        _check_ca_file(document, file)


def _valid(model: type[M], raw: Any, folder: Path) -> M | None:
    try:
        return model.model_validate(without_nulls(raw or {}), context={"folder": folder})
    except ValidationError:
        return None


def _some_of(model: type[M], raw: Any, folder: Path, *keys: str) -> M | None:
    """Return the model with these keys, the others at their defaults; None where one of them is wrong."""
    given = raw if isinstance(raw, dict) else {}
    return _valid(model, {key: given.get(key) for key in keys}, folder)


def _sources(raw: Any, folder: Path) -> Sources:
    """Return the sources; one that is wrong by itself is at its defaults."""
    given = raw if isinstance(raw, dict) else {}
    valid = {name: _valid(SourceKeys, given.get(name), folder) for name in Sources.model_fields}
    return Sources(**{name: source or SourceKeys() for name, source in valid.items()})


def _check_interval(document: Document, path: Location, interval: float | None, staleness: float) -> None:
    if interval is not None and staleness < 2 * interval:
        document.report(path, "poll.max_staleness must be at least twice the interval, or data would flicker")


def _check_sources(document: Document, path: Location, sources: Sources, poll: Poll | None) -> None:
    for name in Sources.model_fields:
        source = getattr(sources, name)
        if poll is not None:
            _check_interval(document, (*path, name, "interval"), source.interval, poll.max_staleness)


def _check_options(document: Document, path: Location, own: Any, *layers: Any) -> None:
    """Look for keys of the commercial API at a source that asks the legacy one.

    In the raw document, so that another wrong key of the same source doesn't hide them. Common keys may
    also wait for partners that choose the API themselves.
    """
    for name in Sources.model_fields:
        given = _mapping(_mapping(own).get(name))
        apis = [api for layer in layers if (api := _mapping(_mapping(layer).get(name)).get("api"))]
        if len(path) == 1 and _some_partner_chooses(document, name):
            continue
        for key in COMMERCIAL_KEYS:
            if given.get(key) is not None and next(iter(apis), "legacy") == "legacy":
                document.report(
                    (*path, name, key), "this goes with `api: commercial` only: add that, or remove this"
                )


def _some_partner_chooses(document: Document, source: str) -> bool:
    partners = _mapping(document.content).get("partners")
    return any(
        _mapping(_mapping(partner.get("sources")).get(source)).get("api") == "commercial"
        for _, partner in _mappings(partners)
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _check_enabled(document: Document, path: Location, own: Sources, common: Sources) -> None:
    states = (merged(own, common, name, "enabled") for name in Sources.model_fields)
    if all(state is False for state in states):
        document.report(path, "no source is enabled: enable usage or deployment")


def merged(own: Sources, common: Sources, source: str, key: str) -> Any:
    """Return a source's key: the partner's own, else the common one."""
    value = getattr(getattr(own, source), key)
    return getattr(getattr(common, source), key) if value is None else value


def _check_files(document: Document, path: Location, partner: dict[str, Any], folder: Path) -> None:
    files = {key: file for key in _FILES if (file := _file(document, (*path, key), partner.get(key), folder))}
    if "client_certificate_file" in files and not document.unresolved & {(*path, key) for key in _FILES}:
        password = files.get("client_certificate_password_file")
        certificate = auth.ClientCertificate(
            files["client_certificate_file"],
            files.get("client_certificate_key_file"),
            auth.SecretSource(file=password) if password else None,
        )
        try:
            certificate.expiry()
        except AuthenticationError as error:
            document.report((*path, "client_certificate_file"), f"{error.message}: {error.remedy}")
    for key in ("client_secret_file", "federated_token_file"):
        if key in files and not _secret_text(document, (*path, key), files[key]):
            document.report((*path, key), f"{files[key]} is empty: write the secret into it")


def _file(document: Document, path: Location, value: Any, folder: Path) -> Path | None:
    """Return the file that a key names; None where it names none, or one that isn't known here."""
    if path in document.unresolved:
        return None
    try:
        return file_path(value, folder)
    except ValueError:
        return None


def _secret_text(document: Document, path: Location, file: Path) -> bool:
    """Return whether the file holds a text; one that can't be read is reported here."""
    try:
        return bool(Secret(auth.read_secret_file(file).strip()))
    except AuthenticationError as error:
        document.report(path, f"{error.message}: {error.remedy}")
        return True


def _check_ca_file(document: Document, file: Path) -> None:
    import ssl  # noqa: PLC0415  only where a file is named

    try:
        # Not the default context: that would read all the system's authorities first, a tenth of a second.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except (OSError, ssl.SSLError) as error:
        words = getattr(error, "strerror", None) or str(error)
        document.report(("http", "ca_file"), f"can't use {file} ({words}): it must hold certificates as PEM")


def _mappings(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    if isinstance(value, list):
        yield from ((index, item) for index, item in enumerate(value) if isinstance(item, dict))
