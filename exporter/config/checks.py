"""Mistakes that show only between keys, or in the files that they name.

They are looked for in the valid part of the document, so that a wrong key doesn't hide them: pydantic would
skip its own cross-checks then. Nothing is concluded from a key that has a problem of its own.
"""

import os
import ssl
import stat
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from exporter.auth.credential import ClientCertificate, read_secret_file
from exporter.auth.secret_shape import doubt_about, doubt_about_client_secret
from exporter.config.dates import doubt_about_certificate, doubt_about_clock, doubt_about_end
from exporter.config.identities import doubts, mistakes, placeholders
from exporter.config.schema import ConfigFile, Partner
from exporter.config.sources import (
    INSIGHTS_INTERVAL_SECONDS,
    MIN_INSIGHTS_INTERVAL_SECONDS,
    AnySourceKeys,
    Sources,
    keys_only_of,
)
from exporter.disk import Disk, NotAnsweringError
from exporter.errors import AuthenticationError
from exporter.file_system import UnsuitableFileSystemError, check_file_system, unreadable
from exporter.files import check_pem
from exporter.model.rows import Api, Dimension, SourceName
from exporter.permissions import reason_of
from exporter.private_files import Distrusted
from exporter.yaml_file.document import Document, format_path

_ANSWER_TIMEOUT_SECONDS = 10.0
_CREDENTIALS = ("client_secret", "client_secret_file", "client_certificate_file", "federated_token_file")
_NEEDED_KEYS = {
    "client_certificate_key_file": ("client_certificate_file",),
    "client_certificate_password_file": ("client_certificate_file",),
    "client_secret_expires": ("client_secret", "client_secret_file"),
}
_WITH_DETAIL = tuple(api for api in Api if "detail" in keys_only_of(api))
_NEEDS_REPORTS = (
    "with `api: insights`, this creates a query and a daily report in the partner's account: allow it with "
    "`reports: true`, or remove this"
)
_IDENTITY_KEYS = ("cloud", "tenant_id", "client_id", "authority", "api_url", "scope")

Location = tuple[str | int, ...]
Judge = Callable[[str], str | None]
"""Returns what a secret seems to be instead, if anything."""


def _no_doubt(_secret: str) -> None:
    """Judge a token that another program renews."""


class Checks:
    """The checks of one document. `file` is its valid part."""

    def __init__(self, document: Document, file: ConfigFile) -> None:
        self._report, self._warn = document.report, document.warn
        self._file = file
        # Not those found here: two checks may each find a problem with the same key.
        self._wrong = {problem.path for problem in document.problems}

    def run(self) -> None:
        """Report every mistake."""
        if doubt := doubt_about_clock(time.time()):
            self._warn((), doubt)
        self._check_names()
        self._check_targets()
        self._check_interval(("poll", "interval"), self._file.poll.interval)
        users = [Sources(), *(partner.sources for partner in self._file.partners)]
        self._check_sources(("sources",), self._file.sources, users)
        for index, partner in enumerate(self._file.partners):
            if self._is_valid(path := ("partners", index)):
                self._check_partner(path, partner)
        if self._file.http.ca_file and self._is_valid(("http", "ca_file")):
            self._check_ca_file(self._file.http.ca_file)

    def run_offline(self) -> None:
        """Report every mistake, and a state_dir that can't be one, which a start finds by writing to it."""
        self.run()
        if self._is_valid(("state_dir",)):
            self._check_state_dir(self._file.state_dir)

    def _is_valid(self, *paths: Location) -> bool:
        return self._wrong.isdisjoint(format_path(path) for path in paths)

    def _report_misplaced(self, path: Location, needed: Iterable[str]) -> None:
        self._report(path, f"only valid with {' or '.join(needed)}: add that, or remove this")

    def _check_names(self) -> None:
        partners = self._file.partners
        for index, first in _repeated(partner.name.lower() or None for partner in partners):
            name = f"the name {partners[index].name!r} is taken by partners[{first}] (case is ignored)"
            self._report(("partners", index, "name"), f"{name}: choose another")

    def _check_targets(self) -> None:
        selectors = []
        for index, target in enumerate(self._file.targets):
            labels = target.model_dump(exclude={"ratio"})
            place = ("targets", index)
            is_valid = self._is_valid(place, *((*place, label) for label in labels))
            selectors.append(tuple(labels.values()) if is_valid else None)
            if target.customer and is_valid and not self._has_customers(target.partner):
                detail = f"`detail: [{Dimension.CUSTOMER}]` of the source {SourceName.USAGE}"
                self._report_misplaced((*place, "customer"), [detail])
        for index, first in _repeated(selectors):
            self._report(("targets", index), f"applies to the same series as targets[{first}]: keep one")

    def _has_customers(self, partner: str | None) -> bool:
        """Return whether this partner, or any, may have usage by customer."""
        merged = [
            user.sources.merged(SourceName.USAGE, self._file.sources)
            for user in self._file.partners
            if partner in (None, user.name)
        ]
        is_doubtful = not merged or any("sources" in path for path in self._wrong)
        return is_doubtful or any(
            keys.enabled and keys.api in _WITH_DETAIL and Dimension.CUSTOMER in keys.detail for keys in merged
        )

    def _check_interval(self, path: Location, interval: float | None) -> None:
        if interval is None or not self._is_valid(path, ("poll", "max_staleness")):
            return
        if self._file.poll.max_staleness < 2 * interval:
            message = "poll.max_staleness must be at least twice the interval, or data would flicker"
            self._report(path, message)

    def _check_sources(self, path: Location, sources: Sources, users: Iterable[Sources]) -> None:
        """Check the sources of a partner, or the common ones, which every partner uses."""
        for name in SourceName:
            keys = sources.keys_of(name)
            chosen_at = path if "api" in keys.model_fields_set else ("sources",)
            if self._is_valid((*chosen_at, name, "api")):
                merged = [user.merged(name, self._file.sources) for user in users]
                apis = {keys.api for keys in merged}
                self._check_source_interval((*path, name), keys, merged)
                self._check_reports((*path, name), keys, sources.merged(name, self._file.sources))
                for key in keys.model_fields_set:
                    needed = [api for api in Api if key in keys_only_of(api)]
                    if needed and apis.isdisjoint(needed):
                        self._report_misplaced((*path, name, key), [f"`api: {api}`" for api in needed])

    def _check_source_interval(self, path: Location, keys: AnySourceKeys, users: Iterable[AnySourceKeys]) -> None:
        """Check an interval that is set here, and the default of Insights where it is chosen here."""
        of_insights = {user.interval for user in users if user.api is Api.INSIGHTS}
        if keys.interval is not None:
            path = (*path, "interval")
            is_too_short = keys.interval < MIN_INSIGHTS_INTERVAL_SECONDS
            if is_too_short and keys.interval in of_insights and self._is_valid(path):
                self._report(path, "minimum interval with `api: insights` is 4h: its data is of months")
            self._check_interval(path, keys.interval)
        elif keys.api is Api.INSIGHTS and None in of_insights:
            self._check_interval((*path, "api"), INSIGHTS_INTERVAL_SECONDS)

    def _check_reports(self, path: Location, keys: AnySourceKeys, merged: AnySourceKeys) -> None:
        """Check that customers of Insights, which take a report in the partner's account, are asked for twice."""
        if merged.api is not Api.INSIGHTS:
            return
        if Dimension.PRODUCT in merged.detail:
            key, message = "detail", "Partner Insights has no products: with `api: insights`, use `detail: [customer]`"
        elif merged.detail and not merged.reports:
            creates = "creates a query and a daily report in the partner's account"
            key, message = (
                "detail",
                f"with `api: insights`, this {creates}: allow it with `reports: true`, or remove this",
            )
        elif merged.reports and not merged.detail:
            key, message = "reports", "only valid with `detail: [customer]`: add that, or remove this"
        else:
            return
        # Where the key comes from the common sources, a partner's api makes it a mistake.
        if place := next((name for name in (key, "api") if name in keys.model_fields_set), None):
            self._report((*path, place), message)

    def _check_partner(self, path: Location, partner: Partner) -> None:
        self._check_sources((*path, "sources"), partner.sources, [partner.sources])
        if not any(partner.sources.merged(name, self._file.sources).enabled for name in SourceName):
            self._report(path, f"no source is enabled: enable {' or '.join(SourceName)}")
        given = partner.model_fields_set
        credentials = [key for key in _CREDENTIALS if key in given]
        if not credentials:
            self._report(path, f"no client credential: add one of {', '.join(_CREDENTIALS)}")
        elif len(credentials) > 1:
            message = f"more than one client credential ({', '.join(credentials)}): keep one"
            self._report((*path, credentials[1]), message)
        for key, needed in _NEEDED_KEYS.items():
            if key in given and given.isdisjoint(needed):
                self._report_misplaced((*path, key), needed)
        self._check_certificate(path, partner)
        self._check_secret_file((*path, "client_secret_file"), partner.client_secret_file, doubt_about_client_secret)
        self._check_secret_file((*path, "federated_token_file"), partner.federated_token_file)
        self._check_seed_file((*path, "refresh_token_file"), partner.refresh_token_file)
        self._check_identities(path, partner)
        self._check_secret((*path, "client_secret"), partner.client_secret or "")
        if partner.client_secret_expires and (late := doubt_about_end(partner.client_secret_expires, time.time())):
            self._warn((*path, "client_secret_expires"), late)

    def _check_secret(self, path: Location, secret: str) -> None:
        # What still begins like a variable was written with $$ on purpose.
        if secret and not secret.startswith("${") and (doubt := doubt_about_client_secret(secret)):
            self._warn(path, f"this may be no secret: {doubt}")

    def _check_identities(self, path: Location, partner: Partner) -> None:
        """Check what identifies the application, as far as its keys are valid."""
        for key, message in placeholders(partner):
            if self._is_valid((*path, key)):
                self._report((*path, key), message)
        if self._is_valid(*((*path, key) for key in _IDENTITY_KEYS)):
            for key, message in mistakes(partner):
                self._report((*path, key), message)
            for key, message in doubts(partner):
                self._warn((*path, key), message)

    def _check_certificate(self, path: Location, partner: Partner) -> None:
        files = [(*path, key) for key in type(partner).model_fields if key.startswith("client_certificate_")]
        if isinstance(partner.credential, ClientCertificate) and self._is_valid(*files):
            try:
                begin, end = partner.credential.begin(), partner.credential.expiry()
            except AuthenticationError as error:
                self._report((*path, "client_certificate_file"), f"{error.message}: {error.remedy}")
            else:
                if doubt := doubt_about_certificate(begin, end, time.time()):
                    self._warn((*path, "client_certificate_file"), doubt)

    def _check_secret_file(self, path: Location, file: Path | None, judge: Judge = _no_doubt) -> None:
        if file is None or not self._is_valid(path):
            return
        try:
            secret = read_secret_file(file)
        except AuthenticationError as error:
            self._report(path, f"{error.message}: {error.remedy}")
        else:
            if not secret.strip():
                self._report(path, f"{file} is empty: write the secret to it")
            elif doubt := judge(secret):
                self._warn(path, f"what is in {file} may be no secret: {doubt}")

    def _check_seed_file(self, path: Location, file: Path | None) -> None:
        """Check a file that may be missing or empty: a stored token comes first."""
        if file is None or not self._is_valid(path):
            return
        try:
            secret = read_secret_file(file)
        except AuthenticationError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                self._report(path, f"{error.message}: {error.remedy}")
        else:
            if secret.strip() and (doubt := doubt_about(secret)):
                self._warn(path, f"what is in {file} may be no refresh token: {doubt}")

    def _check_ca_file(self, file: Path) -> None:
        try:
            check_pem(file)
            # Not the default context, which would first read all the system's CAs for 0.1 s.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
        except (OSError, ssl.SSLError) as error:
            if isinstance(error, PermissionError):
                self._report(("http", "ca_file"), f"can't read {file}: {reason_of(file, error)}")
                return
            reason = getattr(error, "strerror", None) or str(error)
            self._report(("http", "ca_file"), f"can't use {file} ({reason}): it must contain PEM certificates")

    def _check_state_dir(self, directory: Path) -> None:
        """Leave nothing there: whoever checks a configuration need not be allowed to write there."""
        try:
            reason = Disk().run(partial(_why_no_directory, directory), timeout_seconds=_ANSWER_TIMEOUT_SECONDS)
        except NotAnsweringError as error:
            unanswered = unreadable(directory, error)
            self._report(("state_dir",), f"{unanswered.message}: {unanswered.remedy}")
        except UnsuitableFileSystemError as error:
            self._report(("state_dir",), f"{error.message}: {error.remedy}")
        else:
            if reason:
                advice = "it must be a directory, or one that can be created"
                self._report(("state_dir",), f"can't use {directory} ({reason}): {advice}")


def _why_no_directory(directory: Path) -> str:
    """Return why this neither is a directory nor can become one; nothing where only a write can tell.

    Raises UnsuitableFileSystemError, as far as this user is allowed to find out.
    """
    with suppress(OSError, Distrusted):
        # A file server may take root for another user: it is asked only about what is this user's own.
        if directory.stat().st_uid in (0, os.geteuid()):
            check_file_system(directory)
    for place in (directory, *directory.parents):
        try:
            is_directory = stat.S_ISDIR(place.stat().st_mode)
        except FileNotFoundError:
            if place.is_symlink():
                return f"{place} is a link that leads nowhere"
        except PermissionError:
            return ""
        except OSError as error:
            return error.strerror or str(error)
        else:
            return "" if is_directory else f"{place} is not a directory"
    return ""


def _repeated(entries: Iterable[Hashable]) -> Iterator[tuple[int, int]]:
    """Yield the index of each repeated entry with that of its first occurrence; None is no entry."""
    first: dict[Hashable, int] = {}
    for index, entry in enumerate(entries):
        if entry is not None and first.setdefault(entry, index) != index:
            yield index, first[entry]
