"""`auth status`: the sign-in of each partner as it is stored, and what to do where it can't be used."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from exporter.arguments import AuthStatus, ExitStatus
from exporter.auth.authenticator import REFRESH_TOKEN_LIFETIME_SECONDS
from exporter.auth.credential import ClientCertificate, ClientSecret, FederatedToken, read_secret_file
from exporter.auth.sign_in_record import SignInRecords, token_digest
from exporter.auth.token_store import TokenRecord, TokenStore
from exporter.commands.configuration import as_called
from exporter.commands.partners import select
from exporter.config import PartnerConfig, load
from exporter.errors import LOGIN, NOTHING, AuthenticationError, Reason, StateError
from exporter.files import StateDirectory
from exporter.formatting import ago, moment
from exporter.logs import get_logger
from exporter.messages import Line, for_partner, line
from exporter.model.status import Failure

_KINDS = {ClientSecret: "client secret", ClientCertificate: "certificate", FederatedToken: "federated token"}
_MFA = {True: "yes", False: "no", None: "not known before the next renewal"}
_ACCEPTED = {True: "accepted", False: "refused", None: "not tried yet"}
_SIGN_IN = line("sign in: {}", LOGIN)
_NONE_YET = line("there is no refresh token yet"), line("sign in once: {}", LOGIN)
_OF_ANOTHER = (
    line("the stored token belongs to another application or tenant"),
    line("correct tenant_id, client_id and cloud, or sign in anew: {}", LOGIN),
)
_REFUSED = line("the last sign-in was refused")
_TOKEN_ENDED = line("the refresh token has expired, 90 days after its issue")
_CREDENTIAL_ENDED = line("the client credential has expired")
_NEW_CREDENTIAL = line("add a new one to the application in Entra ID, and put it where the configuration says")


@dataclass(frozen=True, slots=True)
class _Problem:
    """What keeps a sign-in from being used; without a message, nothing does."""

    message: Line = NOTHING
    remedy: Line = NOTHING
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """One partner's sign-in. Times are Unix seconds; None is 'not known'. `problem` is empty while it can be used."""

    partner: str
    account: str | None
    cloud: str
    tenant_id: str
    client_id: str
    mfa: bool | None
    accepted: bool | None
    token_issued_at: float | None
    token_expires_at: float | None
    credential: str
    credential_expires_at: float | None
    token_file: str
    problem: str
    remedy: str


def run(arguments: AuthStatus) -> ExitStatus:
    """Print what is stored; return whether every sign-in can be used. Raises ConfigurationError, StateError."""
    config = load(arguments.config_file)
    directory, now = StateDirectory(config.state_dir), time.time()
    directory.check_user()
    partners = select(config, arguments.partner, file=arguments.config_file)
    found = [stored_sign_in(partner, directory, now=now) for partner in partners]
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        text = "\n\n".join("\n".join(_lines(sign_in, now=now)) for sign_in in found)
        print(as_called(text, arguments.config_file))
    return ExitStatus.FAILED if any(sign_in.problem for sign_in in found) else ExitStatus.SUCCESS


def stored_sign_in(partner: PartnerConfig, directory: StateDirectory, *, now: float) -> SignIn:
    """Return what is stored of a partner's sign-in, and what keeps it from being used. Reads files only."""
    token, unusable = _stored_token(partner, directory)
    accepted, refusal, token_refused = _last_sign_in(partner, directory, token)
    credential_expires_at, unreadable = _credential_end(partner)
    issued_at = token.issued_at if token and not token_refused else None
    expires_at = None if issued_at is None else issued_at + REFRESH_TOKEN_LIFETIME_SECONDS
    ends = (
        (expires_at, _TOKEN_ENDED, for_partner(_SIGN_IN, partner.registration.partner)),
        (credential_expires_at, _CREDENTIAL_ENDED, _NEW_CREDENTIAL),
    )
    ended = [_Problem(message, remedy) for at, message, remedy in ends if at is not None and at <= now]
    problem = unusable or refusal or unreadable or next(iter(ended), _Problem())
    identity = partner.registration.identity
    return SignIn(
        partner=partner.name,
        account=token.account if token else None,
        cloud=identity.cloud,
        tenant_id=identity.tenant_id,
        client_id=identity.client_id,
        mfa=False if refusal and refusal.reason == Reason.MFA else token.mfa if token else None,
        accepted=accepted,
        token_issued_at=issued_at,
        token_expires_at=expires_at,
        credential=_KINDS[type(partner.credential)],
        credential_expires_at=credential_expires_at,
        token_file=str(TokenStore(directory, partner.registration).path),
        problem=problem.message,
        remedy=problem.remedy,
    )


def _stored_token(partner: PartnerConfig, directory: StateDirectory) -> tuple[TokenRecord | None, _Problem | None]:
    """Return the token, or what is wrong with it; neither where a seed takes its place."""
    try:
        token = TokenStore(directory, partner.registration).load()
        if token is not None and token.identity == partner.registration.identity:
            return token, None
        seed = partner.refresh_token_file
        if seed is not None and read_secret_file(seed).strip():
            return None, None
    except (StateError, AuthenticationError) as error:
        return None, _Problem(error.message, error.remedy)
    message, remedy = _NONE_YET if token is None else _OF_ANOTHER
    return None, _Problem(message, for_partner(remedy, partner.registration.partner))


def _last_sign_in(
    partner: PartnerConfig, directory: StateDirectory, token: TokenRecord | None
) -> tuple[bool | None, _Problem | None, bool]:
    """Return whether this token was accepted, why not, and whether it was the token itself that was refused."""
    name = partner.registration.partner
    record = SignInRecords(directory, partner.registration, get_logger(partner=name)).load()
    if record is None or record.token_digest != token_digest(token):
        # Only Entra ID's answer to a sign-in sets the date.
        return (True if token and token.issued_at is not None else None), None, False
    if record.up:
        return True, None, False
    failure = record.failure or Failure("", _REFUSED, for_partner(_SIGN_IN, name))
    return False, _Problem(failure.message, failure.remedy, failure.reason), record.token_refused


def _credential_end(partner: PartnerConfig) -> tuple[float | None, _Problem | None]:
    try:
        return partner.credential.expiry(), None
    except AuthenticationError as error:
        return None, _Problem(error.message, error.remedy)


def _lines(sign_in: SignIn, *, now: float) -> Iterator[str]:
    yield sign_in.partner
    yield f"  account:     {sign_in.account or 'not known'}"
    yield f"  tenant:      {sign_in.tenant_id} (cloud {sign_in.cloud}), application {sign_in.client_id}"
    yield f"  sign-in:     {_ACCEPTED[sign_in.accepted]}"
    yield f"  MFA:         {_MFA[sign_in.mfa]}"
    yield f"  token:       issued {_when(sign_in.token_issued_at, now)}; expires {_when(sign_in.token_expires_at, now)}"
    yield f"  credential:  {sign_in.credential}; expires {_when(sign_in.credential_expires_at, now)}"
    yield f"  stored in:   {sign_in.token_file}"
    if sign_in.problem:
        yield f"  PROBLEM: {sign_in.problem}"
        yield f"    Fix: {sign_in.remedy}."


def _when(at: float | None, now: float) -> str:
    if at is None:
        return "not known"
    return f"{moment(at)} ({f'{ago(now - at)} ago' if at <= now else f'in {ago(at - now)}'})"
