"""`login`: the one interactive sign-in, or the take-over of an existing refresh token."""

import argparse
import random
import sys
from dataclasses import replace
from pathlib import Path

from exporter.auth.authenticator import REFRESH_TOKEN_LIFETIME_SECONDS
from exporter.auth.entra import EntraApplication, TokenGrant
from exporter.auth.login import sign_in_interactively
from exporter.auth.refresh_tokens import new_record, renewed_record
from exporter.auth.token_store import TokenRecord, TokenStore
from exporter.builder import Builder
from exporter.cli import DONE, revision
from exporter.clock import Clock, SystemClock
from exporter.commands.check import select
from exporter.config import load
from exporter.errors import AuthenticationError, ConfigurationError, Problem
from exporter.files import StateDirectory
from exporter.formatting import moment
from exporter.logs import get_logger
from exporter.metrics.own import OwnMetrics
from exporter.redaction import Secret


def main(arguments: argparse.Namespace) -> int:
    """Get a refresh token, prove it by using it, save it, and say what it is."""
    file = Path(arguments.config_file)
    config = load(file)
    partner = select(config, arguments.partner, file)
    directory = StateDirectory(config.state_dir)
    directory.check()
    clock = SystemClock()
    builder = Builder(
        config,
        directory,
        own=OwnMetrics(revision=revision()),
        clock=clock,
        rng=random.Random(),  # noqa: S311  it spreads retries, it guards nothing
        log=get_logger(),
    )
    entra = builder.entra(partner)
    store = TokenStore(directory, partner.registration)
    previous = store.load()  # one that can't be trusted is refused before the user takes the trouble
    if arguments.import_refresh_token:
        imported = _read_token(arguments.import_refresh_token)
        grant = _kept(entra.redeem(imported), imported)
    else:
        grant = sign_in_interactively(entra, port=arguments.redirect_port)
    record, grant = _prove(entra, store, grant, clock=clock, previous=previous)
    _report(partner.name, entra, store, record, grant)
    return DONE


def _read_token(source: str) -> Secret:
    """Return the token in a file, or on standard input for `-`; raises ConfigurationError."""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or "it is no text"
        problem = Problem(0, "--import-refresh-token", f"can't read {source}: {words}")
        raise ConfigurationError("command line", (problem,)) from error
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        problem = Problem(
            0, "--import-refresh-token", "this holds no refresh token: one long word is expected"
        )
        raise ConfigurationError("command line", (problem,))
    return Secret(token)


def _kept(grant: TokenGrant, sent: Secret) -> TokenGrant:
    """Return the grant; one without a new refresh token leaves the old one in force (RFC 6749, 6)."""
    return grant if grant.refresh_token else replace(grant, refresh_token=sent)


def _prove(
    entra: EntraApplication,
    store: TokenStore,
    grant: TokenGrant,
    *,
    clock: Clock,
    previous: TokenRecord | None,
) -> tuple[TokenRecord, TokenGrant]:
    """Save the new token, use it once, and save its successor. Raises AuthenticationError, StateError."""
    if grant.refresh_token is None:
        raise AuthenticationError(
            "Entra ID gave no refresh token",
            remedy="register the redirect address under the platform Web, and allow offline_access",
        )
    # A seed that was taken once stays taken: it must not come back should the new token be refused.
    digest = previous.seed_digest if previous else None
    fresh = new_record(entra.registration, grant.refresh_token.reveal(), digest)
    first = renewed_record(fresh, grant, now=clock.time())
    store.overwrite(first)
    used = entra.redeem(grant.refresh_token)
    second = renewed_record(first, used, now=clock.time())
    store.save(second, replacing=first)
    return second, used


def _report(
    name: str, entra: EntraApplication, store: TokenStore, record: TokenRecord, grant: TokenGrant
) -> None:
    tenant = grant.tenant_id or entra.registration.identity.tenant_id
    print(f"Signed in as {record.account or 'an account that Entra ID does not name'}, tenant {tenant}.")
    print(f"The refresh token is saved in {store.path} (readable by its owner only).")
    if record.issued_at is not None:
        end = moment(record.issued_at + REFRESH_TOKEN_LIFETIME_SECONDS)
        print(f"It ends on {end}, unless a poll renews it before.")
    if grant.methods is not None and "mfa" not in grant.methods:
        print(
            "Warning: this sign-in had no second factor, and Partner Center refuses such tokens. "
            f"Require MFA for the account and sign in again: partnercenter-exporter login --partner {name}"
        )
    print(f"Now try: partnercenter-exporter check --partner {name}")
