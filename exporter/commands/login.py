"""`login`: the one interactive sign-in, or the import of an existing refresh token."""

import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from exporter.arguments import ExitStatus, Login
from exporter.auth.authenticator import REFRESH_TOKEN_LIFETIME_SECONDS
from exporter.auth.credential import decoded, secret_text
from exporter.auth.entra import EntraApplication, TokenGrant
from exporter.auth.login import sign_in_interactively
from exporter.auth.refresh_tokens import renewed_record
from exporter.auth.token_store import TokenRecord, TokenStore
from exporter.builder import Builder
from exporter.commands.configuration import as_called
from exporter.commands.partners import new_builder, select_one
from exporter.commands.proof import NewSignIn, prove
from exporter.config import PartnerConfig, load
from exporter.errors import LOGIN, AuthenticationError, Forbidden, PollError
from exporter.files import StateDirectory
from exporter.flags import usage_error
from exporter.formatting import moment
from exporter.messages import line
from exporter.ownership import hand_over
from exporter.redaction import Secret
from exporter.terminal import secret_from

# Far more than a token needs.
_MAX_BYTES = 1024**2
_PROMPT = "Paste the refresh token, which is not shown, and press Enter: "


def run(arguments: Login) -> ExitStatus:
    """Get a refresh token, try it, save it unless it is refused, and print what it is. Raises ExporterError."""
    config = load(arguments.config_file)
    partner = select_one(config, arguments.partner, file=arguments.config_file)
    with closing(new_builder(config)) as builder:
        entra = builder.entra(partner)
        store = TokenStore(builder.directory, partner.registration)
        previous = store.load()  # a corrupt store is an error before the user signs in for nothing
        if arguments.import_refresh_token:
            token = _read_token(arguments.import_refresh_token)
            grant = entra.redeem(token)
            # An answer without a new refresh token leaves the old one valid (RFC 6749, 6).
            grant = grant if grant.refresh_token else replace(grant, refresh_token=token)
        else:
            grant = sign_in_interactively(entra, port=arguments.redirect_port, typed=sys.stdin, shown=sys.stdout)
        # A seed that was used once stays used: it must not come back if the new token is refused.
        sign_in = _new_sign_in(entra, grant, seed_digest=previous.seed_digest if previous else None)
        unproven = _prove(sign_in, builder, partner, kept=previous)
        store.overwrite(sign_in.record)
    _print_saved(sign_in, store, directory=builder.directory)
    if unproven:
        print(_warning(unproven))
    if sign_in.grant.methods is not None and "mfa" not in sign_in.grant.methods:
        again = as_called(LOGIN.format(partner=partner.name), arguments.config_file)
        print(
            "Warning: this sign-in did not use MFA, and Partner Center rejects such tokens. Require MFA for "
            f"the account and sign in again: {again}"
        )
    print(as_called(f"Next: partnercenter-exporter check --partner {partner.name}", arguments.config_file))
    return ExitStatus.SUCCESS


def _read_token(source: str) -> Secret:
    """Return the token in a file, or on standard input for `-`; raises ConfigurationError."""
    flag = "--import-refresh-token"
    try:
        content = secret_from(sys.stdin, _PROMPT, max_length=_MAX_BYTES) if source == "-" else Path(source).read_bytes()
        text = decoded(content)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise usage_error(flag, f"can't read {source}: {reason}") from error
    try:
        token = secret_text(text.strip(" \ufeff\r\n"))
    except ValueError as error:
        raise usage_error(flag, f"not a refresh token: {error}") from error
    if not token or " " in token:
        raise usage_error(flag, "not a refresh token: expected one line without spaces")
    return Secret(token)


def _new_sign_in(entra: EntraApplication, grant: TokenGrant, *, seed_digest: str | None) -> NewSignIn:
    """Return the sign-in of a grant; raises AuthenticationError if that has no refresh token."""
    if grant.refresh_token is None:
        raise AuthenticationError(
            line("Entra ID issued no refresh token"),
            remedy=line("register the redirect URI under the platform Web, and allow offline_access"),
        )
    token, identity = grant.refresh_token.reveal(), entra.registration.identity
    record = TokenRecord(identity=identity, refresh_token=token, seed_digest=seed_digest)
    return NewSignIn(entra, renewed_record(record, grant, now=time.time()), grant)


def _prove(
    sign_in: NewSignIn, builder: Builder, partner: PartnerConfig, *, kept: TokenRecord | None
) -> PollError | None:
    """Return why it could not be found out whether the sign-in is accepted; raises AuthenticationError if it isn't."""
    try:
        return prove(sign_in, builder, partner)
    except AuthenticationError as error:
        consequence = line("the stored one stays") if kept else line("nothing is stored")
        message = line("the new sign-in is refused and was not saved, {}: {}", consequence, error.message)
        raise error.replace(message=message) from error


def _warning(error: PollError) -> str:
    if isinstance(error, Forbidden):
        fact = "Partner Center knows this sign-in, but does not give its account the data"
    else:
        fact = "it could not be found out yet whether Partner Center accepts this sign-in"
    return f"Warning: {fact}: {error.message}\n  Fix: {error.remedy}."


def _print_saved(sign_in: NewSignIn, store: TokenStore, *, directory: StateDirectory) -> None:
    record = sign_in.record
    tenant = sign_in.grant.tenant_id or store.registration.identity.tenant_id
    print(f"Signed in as {record.account or 'an unnamed account'}, tenant {tenant}.")
    print(f"The refresh token is saved in {store.path} (readable only by its owner).")
    if directory.is_new_of_root:
        print(f"Its owner is root; if another user runs the exporter: {hand_over(directory.root)}")
    if sign_in.mfa_compliant:
        print("Partner Center takes it for a sign-in with MFA.")
    if record.issued_at is not None:
        expiry = moment(record.issued_at + REFRESH_TOKEN_LIFETIME_SECONDS)
        print(f"It expires on {expiry}, unless a poll renews it first.")
